//! What a peer calls itself, made fit for a log or a terminal: cut and escaped, for a name may hold control characters,
//! escape sequences, or text that reads from right to left and hides what follows (FAULTS N12).

use super::limits::PEER_TEXT_CHARS_MAX;

/// `text` as printable ASCII of at most [`PEER_TEXT_CHARS_MAX`] characters, and a mark where it was cut.
#[must_use]
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let piece = match character {
            '\\' => "\\\\".to_owned(),
            ' '..='~' => character.to_string(),
            _ => character.escape_unicode().to_string(),
        };
        if out.len() + piece.len() > PEER_TEXT_CHARS_MAX {
            out.push_str("...");
            break;
        }
        out.push_str(&piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn n12_peer_text_is_escaped() {
        check("towpath/0.1.0", "towpath/0.1.0");
        check("\u{1b}[2Jx", "\\u{1b}[2Jx");
        check("a\nb\r", "a\\u{a}b\\u{d}");
        check("\u{202e}evil", "\\u{202e}evil");
        check("back\\slash", "back\\\\slash");
        check("", "");
    }

    #[test]
    fn n12_peer_text_is_cut() {
        let long = shown(&"x".repeat(64 << 10));
        assert_eq!(long, format!("{}...", "x".repeat(PEER_TEXT_CHARS_MAX)));
        // An escape is kept whole or left out.
        let escapes = shown(&"\u{202e}".repeat(1000));
        assert!(escapes.len() <= PEER_TEXT_CHARS_MAX + 3);
        assert!(escapes.ends_with("}..."));
    }
}
