//! Splits a byte stream into server-sent events (WHATWG HTML, 9.2.6). Pure; bounded by [`limits::EVENT_BYTES_MAX`].

use crate::limits;

/// One event as it travels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Frame {
    /// The newest id seen so far, this event's if it has one.
    pub last_id: Option<u64>,
    /// Its kind; empty for a plain message.
    pub event: String,
    /// Its data, lines joined by line breaks; empty if it only sets the id.
    pub data: String,
}

/// A line or an event is larger than the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge;

/// The bytes and fields that don't make an event yet.
#[derive(Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    frame: Frame,
    has_fields: bool,
}

impl Parser {
    /// Takes bytes in, and appends the events that they complete to `frames`.
    pub(super) fn push(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), TooLarge> {
        for &byte in bytes {
            let is_second_of_pair = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            if is_second_of_pair {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                let line = std::mem::take(&mut self.line);
                frames.extend(self.end_line(&String::from_utf8_lossy(&line)));
            } else if self.line.len() + self.frame.data.len() >= limits::EVENT_BYTES_MAX {
                return Err(TooLarge);
            } else {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.frame.event),
            "data" => {
                if self.has_fields && !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            // An id that isn't ours is no place to go on from, so it is ignored.
            "id" => self.frame.last_id = value.parse().ok().or(self.frame.last_id),
            // Comments, `retry`, and fields that nobody has defined yet.
            _other => return None,
        }
        self.has_fields = true;
        None
    }

    fn dispatch(&mut self) -> Option<Frame> {
        if !std::mem::take(&mut self.has_fields) {
            return None;
        }
        let frame = self.frame.clone();
        self.frame.event.clear();
        self.frame.data.clear();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Parser, TooLarge};
    use crate::limits;

    fn frame(last_id: Option<u64>, event: &str, data: &str) -> Frame {
        Frame { last_id, event: event.to_owned(), data: data.to_owned() }
    }

    /// However the bytes are cut, the same events come out.
    fn check(stream: &str, expected: &[Frame]) {
        for cut in 1..=stream.len() {
            let mut parser = Parser::default();
            let mut frames = Vec::new();
            for chunk in stream.as_bytes().chunks(cut) {
                parser.push(chunk, &mut frames).expect("small");
            }
            assert_eq!(frames, expected, "cut into pieces of {cut}");
        }
    }

    #[test]
    fn events_are_split_at_empty_lines_of_every_kind() {
        let expected = [frame(Some(7), "payment", "{\"a\":1}"), frame(Some(8), "", "b\nc")];
        check("id: 7\nevent: payment\ndata: {\"a\":1}\n\nid:8\ndata:b\ndata: c\n\n", &expected);
        check(
            "id: 7\r\nevent: payment\r\ndata: {\"a\":1}\r\n\r\nid:8\r\ndata:b\r\ndata: c\r\n\r\n",
            &expected,
        );
    }

    #[test]
    fn comments_and_unfinished_events_give_nothing() {
        check(": heartbeat\n\n\nretry: 5\n\ndata: lost", &[]);
    }

    #[test]
    fn an_id_alone_moves_the_place_and_later_events_keep_it() {
        check(
            "id: 9\n\ndata: x\n\nid: nonsense\ndata: y\n\n",
            &[frame(Some(9), "", ""), frame(Some(9), "", "x"), frame(Some(9), "", "y")],
        );
    }

    #[test]
    fn a_line_or_event_without_end_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'a'; limits::EVENT_BYTES_MAX + 1], &mut Vec::new()), Err(TooLarge));
        let mut parser = Parser::default();
        let lines = "data: 0123456789\n".repeat(limits::EVENT_BYTES_MAX / 10);
        assert_eq!(parser.push(lines.as_bytes(), &mut Vec::new()), Err(TooLarge));
    }
}
