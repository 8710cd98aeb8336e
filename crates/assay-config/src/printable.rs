//! Text of others as it may be shown.
//!
//! Names of files, tensors, models and classes come from elsewhere. A terminal obeys control characters in them, and a line
//! break in them makes a line that looks like one of ours; so they are shown as Rust would write them, `\n` or `\u{1b}`.

use std::borrow::Cow;

/// A text with control characters, line breaks and what turns the direction of writing escaped.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| false)
}

/// Escapes as [`printable`] does, but lines that are indented by two spaces stay lines: a message of ours lists things
/// so, and no name of a file can make a line in it that begins like one of ours.
pub fn printable_message(text: &str) -> Cow<'_, str> {
    escaped(text, |c, rest| c == '\n' && rest.starts_with("  "))
}

/// Escapes as [`printable`] does, but line breaks and tabs stay: for texts of several lines in which names are escaped
/// already.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c, _| matches!(c, '\n' | '\t'))
}

/// Tells whether a character is never shown as it is.
pub(crate) fn is_hidden(c: char) -> bool {
    // C0, C1 and DEL; line and paragraph separators; embeddings, overrides and isolates of the direction of writing.
    c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// `keep` is asked of each such character, with what follows it, whether it stays.
fn escaped(text: &str, keep: impl Fn(char, &str) -> bool) -> Cow<'_, str> {
    let is_escaped = |(at, c): &(usize, char)| is_hidden(*c) && !keep(*c, &text[at + c.len_utf8()..]);
    if !text.char_indices().any(|one| is_escaped(&one)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for one in text.char_indices() {
        if is_escaped(&one) {
            out.extend(one.1.escape_default());
        } else {
            out.push(one.1);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert!(matches!(printable("conv1.weight – größer"), Cow::Borrowed(_)));
        for (text, shown) in [
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\nerror: b", "a\\nerror: b"),
            ("\t\r\u{7f}\u{9b}", "\\t\\r\\u{7f}\\u{9b}"),
            ("\u{202e}gnp.\u{2066}\u{2028}", "\\u{202e}gnp.\\u{2066}\\u{2028}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn only_indented_lines_stay_in_messages() {
        assert_eq!(printable_message("missing:\n  a\n  b"), "missing:\n  a\n  b");
        assert_eq!(printable_message("a\nerror: forged\n b\n"), "a\\nerror: forged\\n b\\n");
        assert_eq!(printable_lines("a\tb\n\u{7}"), "a\tb\n\\u{7}");
    }
}
