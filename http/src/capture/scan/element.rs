//! Elements of XML and HTML.

use super::{MAX_NAME, NAME_KEYS, REDACTED, Scanner, VALUE_KEYS, is_one_of};

/// How `<` and `>` are written: as they are, in XML inside XML, and in JSON that is safe inside HTML.
const BRACKETS: [(&str, &str); 4] = [("<", ">"), ("&lt;", "&gt;"), ("\\u003c", "\\u003e"), ("\\u003C", "\\u003E")];

/// Elements of HTML without content, whose attributes can be secret.
const VOID: [&str; 4] = ["input", "link", "meta", "param"];

impl<'t> Scanner<'t, '_> {
    /// Redacts the content and the attributes of an element with a secret name.
    pub(super) fn element(&mut self) {
        let Some((less, greater)) = BRACKETS.into_iter().find(|(less, _)| self.starts_with(self.at, less)) else {
            return;
        };
        let name_start = self.at + less.len();
        let name = self.element_name(name_start);
        if name.is_empty() || name.starts_with(|c: char| !c.is_alphabetic() && c != '_') {
            return;
        }
        let local = name.rsplit(':').next().unwrap_or_default();
        let name_end = name_start + name.len();
        let tag_end = self.tag_end(name_end, less, greater);
        let attributes = self.slice(name_end..tag_end);
        let is_value = self.value_is_secret && (is_one_of(local, &VALUE_KEYS) || local == "string");
        if is_value || self.is_secret_name(local) || self.names_secret(attributes) {
            self.value_is_secret = false;
            self.redact_element(name, name_end, tag_end, (less, greater));
        } else if is_one_of(local, &NAME_KEYS) {
            let content = self.rest(tag_end).strip_prefix(greater).unwrap_or_default();
            let content = content.get(..content.find(less).unwrap_or_default()).unwrap_or_default();
            self.value_is_secret |= content.len() <= MAX_NAME && self.is_secret_name(content);
        }
    }

    fn redact_element(&mut self, name: &str, name_end: usize, tag_end: usize, (less, greater): (&str, &str)) {
        let is_closed = self.slice(name_end..tag_end).ends_with('/');
        let attributes_end = tag_end - usize::from(is_closed);
        if !self.slice(name_end..attributes_end).trim().is_empty() {
            self.replace(name_end..attributes_end, " [redacted]");
        }
        if is_closed {
            return;
        }
        let content = (tag_end + greater.len()).min(self.bytes.len());
        let closing = self.closing_tag(name, content, less, greater);
        self.spend(closing.unwrap_or(self.bytes.len()) - content);
        let end = match closing {
            Some(end) => end,
            None if VOID.iter().any(|void| name.eq_ignore_ascii_case(void)) => return,
            // Probably not an element: `Vec<Token>`.
            None if !self.rules.is_cut && self.follows_word(name_end - name.len(), less) => {
                content + self.rest(content).find(less).unwrap_or(self.bytes.len() - content)
            }
            None => self.bytes.len(),
        };
        if !self.slice(content..end).trim().is_empty() {
            self.replace(content..end, REDACTED);
        }
    }

    fn follows_word(&self, name_start: usize, less: &str) -> bool {
        let before = name_start.checked_sub(less.len() + 1).and_then(|at| self.byte(at));
        before.is_some_and(|byte| byte.is_ascii_alphanumeric())
    }

    fn element_name(&self, start: usize) -> &'t str {
        let rest = self.rest(start);
        let is_outside = |c: char| !(c.is_alphanumeric() || "_.:-".contains(c));
        rest.get(..rest.find(is_outside).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// Returns where `>` begins, which may be inside a quoted attribute.
    fn tag_end(&self, start: usize, less: &str, greater: &str) -> usize {
        let mut quote = None;
        for (at, c) in self.rest(start).char_indices() {
            match (quote, c) {
                (Some(open), _) if open == c => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, _) if self.starts_with(start + at, greater) || self.starts_with(start + at, less) => {
                    return start + at;
                }
                _ => {}
            }
        }
        self.bytes.len()
    }

    /// Returns whether an attribute such as `name` has the name of a secret as its value.
    fn names_secret(&self, attributes: &str) -> bool {
        let mut pieces = attributes.split('=').peekable();
        while let (Some(before), Some(after)) = (pieces.next(), pieces.peek()) {
            let name = before.trim_end().rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
            let value = after.trim_start_matches(|c: char| c.is_whitespace() || "\\\"'".contains(c));
            let value = value.split(['\\', '"', '\'', '>']).next().unwrap_or_default();
            if is_one_of(name, &NAME_KEYS) && value.len() <= MAX_NAME && self.is_secret_name(value) {
                return true;
            }
        }
        false
    }

    /// Returns where the closing tag of an element begins.
    fn closing_tag(&self, name: &str, start: usize, less: &str, greater: &str) -> Option<usize> {
        let mut nesting = 1_usize;
        let mut at = start;
        while let Some(found) = self.rest(at).find(less) {
            let tag = at + found;
            at = tag + less.len();
            if self.starts_with(at, "![CDATA[") {
                at = self.rest(at).find("]]>").map_or(self.bytes.len(), |end| at + end);
                if at == self.bytes.len() {
                    return Some(at);
                }
            } else if self.starts_with(at, "/") && self.element_name(at + 1) == name {
                nesting -= 1;
                if nesting == 0 {
                    return Some(tag);
                }
            } else if self.element_name(at) == name {
                let end = self.tag_end(at, less, greater);
                nesting += usize::from(!self.slice(at..end).ends_with('/'));
            }
        }
        None
    }
}
