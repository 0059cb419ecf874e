//! How a broken receiver answers, in a few words: `503*3,ok`.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use logbridge_receiver::internals::Answer;

/// A client gives up long before; what it leaves behind must not stay for ever.
const FOR_EVER: Duration = Duration::from_secs(600);

/// What there is, for whoever has written something else.
const WORDS: &str = "ok, a status (503, 429:retry=1s), hang, hang=5s, reset, drop, html, empty, garbage, json, redirect=URL, \
                     partial=N, max-bytes=N, poison=TEXT";

/// Answers in their order; the last one stays.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Faults {
    /// Each with how often it is given, and how it was written.
    steps: Vec<(Answer, u64, String)>,
    at: usize,
    given: u64,
}

impl Faults {
    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// What is wrong, with the place marked below the plan.
    pub(super) fn parse(plan: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut start = 0;
        for step in plan.split(',') {
            let place = start..start + step.len();
            start = place.end + 1;
            let (answer, times) = read(step, place).map_err(|wrong| wrong.shown(plan))?;
            steps.push((answer, times, step.trim().to_owned()));
        }
        Ok(Self { steps, at: 0, given: 0 })
    }

    /// The next answer, and how it was written.
    pub(super) fn next(&mut self) -> (Answer, String) {
        let is_last = self.at + 1 >= self.steps.len();
        let Some((answer, times, word)) = self.steps.get(self.at) else { return (Answer::Ok, String::new()) };
        let next = (answer.clone(), word.clone());
        self.given += 1;
        if self.given >= *times && !is_last {
            self.at += 1;
            self.given = 0;
        }
        next
    }
}

/// What is wrong, and where.
struct Wrong {
    what: String,
    place: Range<usize>,
}

impl Wrong {
    fn shown(&self, plan: &str) -> String {
        let before = plan.get(..self.place.start).unwrap_or_default().chars().count();
        let marked = plan.get(self.place.clone()).unwrap_or_default().chars().count().max(1);
        let mut text = format!("{}\n  {plan}\n  ", self.what);
        let _infallible = write!(text, "{}{}", " ".repeat(before), "^".repeat(marked));
        text
    }
}

/// A part of the plan, and where it stands.
#[derive(Clone)]
struct Part<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Part<'a> {
    fn trim(self) -> Self {
        let text = self.text.trim_start();
        let start = self.start + (self.text.len() - text.len());
        Self { text: text.trim_end(), start }
    }

    fn split(&self, at: char) -> (Self, Option<Self>) {
        match self.text.split_once(at) {
            None => (self.clone(), None),
            Some((left, right)) => {
                let start = self.start + left.len() + at.len_utf8();
                (Self { text: left, start: self.start }, Some(Self { text: right, start }))
            }
        }
    }

    fn wrong(&self, what: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), place: self.start..self.start + self.text.len() }
    }

    fn number<N: std::str::FromStr>(&self, what: &str) -> Result<N, Wrong> {
        self.text.parse().map_err(|_| self.wrong(format!("`{}` is no number of {what}", self.text)))
    }

    fn time(&self) -> Result<Duration, Wrong> {
        super::super::time(self.text).map_err(|error| self.wrong(format!("`{}` is no time: {error}", self.text)))
    }
}

fn read(step: &str, place: Range<usize>) -> Result<(Answer, u64), Wrong> {
    let step = Part { text: step, start: place.start }.trim();
    if step.text.is_empty() {
        return Err(step.wrong(format!("an answer is missing here: there are {WORDS}")));
    }
    // A text may have a `*` in it.
    let (action, times) = match step.text.rsplit_once('*') {
        Some((left, right)) if !right.is_empty() && right.bytes().all(|byte| byte.is_ascii_digit()) => {
            let times = Part { text: right, start: step.start + left.len() + 1 };
            (Part { text: left, start: step.start }, times.number("times")?)
        }
        _ => (step.clone(), 1),
    };
    if times == 0 {
        return Err(step.wrong("an answer that is never given"));
    }
    Ok((answer(&action.trim())?, times))
}

fn answer(action: &Part<'_>) -> Result<Answer, Wrong> {
    let (word, value) = action.split('=');
    let needs = |what: &str| {
        let missing = action.wrong(format!("`{}` needs {what}: {}={what}", word.text, word.text));
        value.clone().filter(|value| !value.text.is_empty()).ok_or(missing)
    };
    let takes_nothing = |answer: Answer| match &value {
        None => Ok(answer),
        Some(value) => Err(value.wrong(format!("`{}` takes no value", word.text))),
    };
    match word.text {
        "drop" => takes_nothing(Answer::DropAnswer),
        "empty" => takes_nothing(Answer::Empty),
        "garbage" => takes_nothing(Answer::Garbage),
        "html" => takes_nothing(Answer::Html),
        "json" => takes_nothing(Answer::JsonToProtobuf),
        "ok" => takes_nothing(Answer::Ok),
        "reset" => takes_nothing(Answer::Reset),
        "hang" => match value {
            None => Ok(Answer::Hang(FOR_EVER)),
            Some(value) => Ok(Answer::Hang(value.time()?)),
        },
        "max-bytes" => Ok(Answer::MaxBytes(needs("N")?.number("bytes")?)),
        "partial" => {
            let (number, message) = needs("N")?.split(':');
            let message = message.map_or("logbridge was asked to reject them", |message| message.text).to_owned();
            Ok(Answer::PartialSuccess { rejected: number.number("records")?, message })
        }
        "poison" => Ok(Answer::Poison(needs("TEXT")?.text.to_owned())),
        "redirect" => Ok(Answer::Redirect { code: 307, location: needs("URL")?.text.to_owned() }),
        _ => status(action),
    }
}

/// A status, perhaps with the time after which to try again.
fn status(action: &Part<'_>) -> Result<Answer, Wrong> {
    let (number, option) = action.split(':');
    let code: u16 = match number.text.parse() {
        Ok(code @ 200..=999) => code,
        Ok(_) => return Err(number.wrong(format!("`{}` is no status from 200 to 999", number.text))),
        Err(_) => return Err(number.wrong(format!("`{}` is no answer: there are {WORDS}", number.text))),
    };
    let retry_after = match option {
        None => None,
        Some(option) => match option.split('=') {
            (word, Some(time)) if word.text == "retry" => Some(time.time()?),
            _ => return Err(option.wrong("behind a status stands nothing, or when to try again: 429:retry=1s")),
        },
    };
    Ok(Answer::Status { code, retry_after, body: "logbridge was asked to answer so".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(plan: &str, number: usize) -> Vec<String> {
        let mut faults = Faults::parse(plan).expect(plan);
        (0..number).map(|_| faults.next().1).collect()
    }

    #[test]
    fn answers_come_in_their_order_and_the_last_one_stays() {
        assert_eq!(given("503*3,ok", 6), ["503*3", "503*3", "503*3", "ok", "ok", "ok"]);
        assert_eq!(given("401", 2), ["401", "401"]);
        assert_eq!(given("reset*2", 3), ["reset*2"; 3]);
    }

    #[test]
    fn each_word_has_its_answer() {
        let answer = |plan: &str| Faults::parse(plan).expect(plan).next().0;
        assert_eq!(answer("hang=250ms"), Answer::Hang(Duration::from_millis(250)));
        assert_eq!(answer("max-bytes=3000"), Answer::MaxBytes(3000));
        assert_eq!(answer("poison=a*b"), Answer::Poison("a*b".to_owned()));
        assert_eq!(answer(" redirect=/login "), Answer::Redirect { code: 307, location: "/login".to_owned() });
        assert!(
            matches!(answer("partial=2:no room"), Answer::PartialSuccess { rejected: 2, message } if message == "no room")
        );
        assert!(matches!(
            answer("429:retry=1s"),
            Answer::Status { code: 429, retry_after: Some(time), .. } if time == Duration::from_secs(1)
        ));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let wrong = |plan: &str| Faults::parse(plan).expect_err(plan);
        assert_eq!(wrong("503*3,okay").lines().last(), Some("        ^^^^"));
        assert!(wrong("503*3,okay").starts_with("`okay` is no answer: there are ok, a status"));
        assert_eq!(wrong("ok,,503").lines().last(), Some("     ^"));
        assert!(wrong("99").starts_with("`99` is no status from 200 to 999"));
        assert!(wrong("429:later").contains("429:retry=1s"));
        assert!(wrong("hang=soon").contains("`soon` is no time"), "{}", wrong("hang=soon"));
        assert!(wrong("ok=1").starts_with("`ok` takes no value"));
        assert!(wrong("partial").starts_with("`partial` needs N"));
        assert!(wrong("503*0").contains("never given"));
        for plan in ["", "*", "=", ":", "é*é,", "503*99999999999999999999", "partial=é:", "429:retry="] {
            assert!(Faults::parse(plan).is_err(), "{plan}");
        }
    }
}
