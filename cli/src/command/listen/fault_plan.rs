//! Parses fault plans, such as `503*3,ok`: the responses of a faulty endpoint.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use crate::command::arguments::duration;
use logbridge_receiver::internals::Answer;

/// The time for `hang`. Clients give up long before, and an abandoned request must not stay forever.
const HANG_WITHOUT_TIME: Duration = Duration::from_secs(600);

/// The responses that a plan can name.
const RESPONSES: &str = "ok, a status (503, 429:retry=1s), hang, hang=5s, reset, drop, html, empty, garbage, json, \
                         redirect=URL, partial=N, max-bytes=N, poison=TEXT";

/// A sequence of responses, of which the last is repeated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaultPlan {
    /// Each response with its number of repetitions and its text in the plan.
    steps: Vec<(Answer, u64, String)>,
    position: usize,
    repeated: u64,
}

impl FaultPlan {
    /// Parses a plan.
    ///
    /// # Errors
    ///
    /// Returns a message that quotes the plan and marks the error below it.
    pub(super) fn parse(plan: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut start = 0;
        for step in plan.split(',') {
            let span = start..start + step.len();
            start = span.end + 1;
            let (answer, times) = parse_step(step, span).map_err(|error| error.message(plan))?;
            steps.push((answer, times, step.trim().to_owned()));
        }
        Ok(Self { steps, position: 0, repeated: 0 })
    }

    /// Returns the next response and its text in the plan.
    pub(super) fn next(&mut self) -> (Answer, String) {
        let is_last = self.position + 1 >= self.steps.len();
        let Some((answer, times, word)) = self.steps.get(self.position) else { return (Answer::Ok, String::new()) };
        let next = (answer.clone(), word.clone());
        self.repeated += 1;
        if self.repeated >= *times && !is_last {
            self.position += 1;
            self.repeated = 0;
        }
        next
    }
}

/// An error in a plan, with its position in bytes.
struct PlanError {
    text: String,
    span: Range<usize>,
}

impl PlanError {
    fn message(&self, plan: &str) -> String {
        let before = plan.get(..self.span.start).unwrap_or_default().chars().count();
        let marked = plan.get(self.span.clone()).unwrap_or_default().chars().count().max(1);
        let mut message = format!("{}\n  {plan}\n  ", self.text);
        let _infallible = write!(message, "{}{}", " ".repeat(before), "^".repeat(marked));
        message
    }
}

/// A piece of a plan with its position in bytes.
#[derive(Clone)]
struct Token<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Token<'a> {
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

    fn error(&self, text: impl Into<String>) -> PlanError {
        PlanError { text: text.into(), span: self.start..self.start + self.text.len() }
    }

    fn number<N: std::str::FromStr>(&self, noun: &str) -> Result<N, PlanError> {
        self.text.parse().map_err(|_| self.error(format!("`{}` is not a number of {noun}", self.text)))
    }

    fn time(&self) -> Result<Duration, PlanError> {
        duration(self.text).map_err(|error| self.error(format!("invalid time `{}`: {error}", self.text)))
    }
}

fn parse_step(step: &str, span: Range<usize>) -> Result<(Answer, u64), PlanError> {
    let step = Token { text: step, start: span.start }.trim();
    if step.text.is_empty() {
        return Err(step.error(format!("missing response: expected {RESPONSES}")));
    }
    // Only a number after the last `*` is a repetition, because the text of `poison` may contain a `*`.
    let (response, times) = match step.text.rsplit_once('*') {
        Some((left, right)) if !right.is_empty() && right.bytes().all(|byte| byte.is_ascii_digit()) => {
            let times = Token { text: right, start: step.start + left.len() + 1 };
            (Token { text: left, start: step.start }, times.number("times")?)
        }
        _ => (step.clone(), 1),
    };
    if times == 0 {
        return Err(step.error("a response with `*0` is never sent"));
    }
    Ok((parse_response(&response.trim())?, times))
}

fn parse_response(response: &Token<'_>) -> Result<Answer, PlanError> {
    let (word, value) = response.split('=');
    let required = |what: &str| {
        let missing = response.error(format!("`{}` needs {what}: {}={what}", word.text, word.text));
        value.clone().filter(|value| !value.text.is_empty()).ok_or(missing)
    };
    let without_value = |answer: Answer| match &value {
        None => Ok(answer),
        Some(value) => Err(value.error(format!("`{}` takes no value", word.text))),
    };
    match word.text {
        "drop" => without_value(Answer::DropAnswer),
        "empty" => without_value(Answer::Empty),
        "garbage" => without_value(Answer::Garbage),
        "html" => without_value(Answer::Html),
        "json" => without_value(Answer::JsonToProtobuf),
        "ok" => without_value(Answer::Ok),
        "reset" => without_value(Answer::Reset),
        "hang" => match value {
            None => Ok(Answer::Hang(HANG_WITHOUT_TIME)),
            Some(value) => Ok(Answer::Hang(value.time()?)),
        },
        "max-bytes" => Ok(Answer::MaxBytes(required("N")?.number("bytes")?)),
        "partial" => {
            let (number, message) = required("N")?.split(':');
            let message = message.map_or("rejected by a fault plan of logbridge", |message| message.text).to_owned();
            Ok(Answer::PartialSuccess { rejected: number.number("records")?, message })
        }
        "poison" => Ok(Answer::Poison(required("TEXT")?.text.to_owned())),
        "redirect" => Ok(Answer::Redirect { code: 307, location: required("URL")?.text.to_owned() }),
        _ => parse_status(response),
    }
}

/// Parses a status, optionally with the time of its `retry-after` header.
fn parse_status(response: &Token<'_>) -> Result<Answer, PlanError> {
    let (number, option) = response.split(':');
    let code: u16 = match number.text.parse() {
        Ok(code @ 200..=999) => code,
        Ok(_) => return Err(number.error(format!("invalid status `{}`: expected 200 to 999", number.text))),
        Err(_) => return Err(number.error(format!("unknown response `{}`: expected {RESPONSES}", number.text))),
    };
    let retry_after = match option {
        None => None,
        Some(option) => match option.split('=') {
            (word, Some(time)) if word.text == "retry" => Some(time.time()?),
            _ => return Err(option.error("unknown option of a status: expected retry=TIME, as in 429:retry=1s")),
        },
    };
    Ok(Answer::Status { code, retry_after, body: "sent by a fault plan of logbridge".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(plan: &str, number: usize) -> Vec<String> {
        let mut faults = FaultPlan::parse(plan).expect(plan);
        (0..number).map(|_| faults.next().1).collect()
    }

    #[test]
    fn responses_are_sent_in_order_and_the_last_one_is_repeated() {
        assert_eq!(steps("503*3,ok", 6), ["503*3", "503*3", "503*3", "ok", "ok", "ok"]);
        assert_eq!(steps("401", 2), ["401", "401"]);
        assert_eq!(steps("reset*2", 3), ["reset*2"; 3]);
    }

    #[test]
    fn each_word_names_a_response() {
        let answer = |plan: &str| FaultPlan::parse(plan).expect(plan).next().0;
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
    fn errors_are_marked_in_the_plan() {
        let wrong = |plan: &str| FaultPlan::parse(plan).expect_err(plan);
        assert_eq!(wrong("503*3,okay").lines().last(), Some("        ^^^^"));
        assert!(wrong("503*3,okay").starts_with("unknown response `okay`: expected ok, a status"));
        assert_eq!(wrong("ok,,503").lines().last(), Some("     ^"));
        assert!(wrong("99").starts_with("invalid status `99`: expected 200 to 999"));
        assert!(wrong("429:later").contains("429:retry=1s"));
        assert!(wrong("hang=soon").contains("invalid time `soon`"), "{}", wrong("hang=soon"));
        assert!(wrong("ok=1").starts_with("`ok` takes no value"));
        assert!(wrong("partial").starts_with("`partial` needs N"));
        assert!(wrong("503*0").contains("never sent"));
        for plan in ["", "*", "=", ":", "é*é,", "503*99999999999999999999", "partial=é:", "429:retry="] {
            assert!(FaultPlan::parse(plan).is_err(), "{plan}");
        }
    }
}
