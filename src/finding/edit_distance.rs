//! The edit distance of two words, to guess which word was meant.

/// The maximum length of a word. All words that logbridge knows are shorter, so a longer word resembles none of them.
const MAX_WORD: usize = 64;

/// Returns how many characters to insert, remove, replace or swap with their neighbor turn one word into the other.
pub(crate) fn edit_distance(word: &str, other: &str) -> usize {
    let word: Vec<char> = word.chars().take(MAX_WORD).collect();
    let other: Vec<char> = other.chars().take(MAX_WORD).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in word.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && word[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (word, other, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("info", "info", 0),
            ("inof", "info", 1),
            ("wran", "warn", 1),
            ("debgu", "debug", 1),
            ("tarce", "trace", 1),
            ("inf", "info", 1),
            ("infos", "info", 1),
            ("enfo", "info", 1),
            ("größe", "grosse", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(word, other), edits, "{word} {other}");
            assert_eq!(edit_distance(other, word), edits, "{other} {word}");
        }
        assert_eq!(edit_distance(&"x".repeat(100_000), "info"), MAX_WORD);
    }
}
