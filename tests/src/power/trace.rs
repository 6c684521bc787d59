//! What a process had the kernel do to files, in its order: out of the text of `strace -f -ttt -T -xx`, where every string is hex.
//!
//! A call takes time, and others run meanwhile. What it did is put where it ended, since nobody can rely on it earlier; two things
//! count from where it began: a sync covers what was written before that, and a closed number may be another's from then on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The calls that change files, or say which file a number means. Those with a question mark are not on every architecture.
pub const CALLS: &str = "?open,openat,?openat2,?creat,close,?close_range,write,pwrite64,writev,?pwritev,?pwritev2,fsync,fdatasync,\
    ?sync,?syncfs,?rename,?renameat,?renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,ftruncate,truncate,fallocate,lseek,\
    dup,?dup2,dup3,fcntl,?link,linkat,?symlink,symlinkat,?copy_file_range,?sendfile";

/// A number by which a process knows an open file.
pub type Fd = i64;

/// Something that was done, and when, in microseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A file was opened, and perhaps made or emptied.
    Opened {
        /// Its number.
        fd: Fd,
        /// Where.
        path: PathBuf,
        /// `O_…`, as text.
        flags: String,
    },
    /// A number is free again.
    Closed {
        /// Which.
        fd: Fd,
    },
    /// A number means the same open file as another.
    Duplicated {
        /// The other.
        fd: Fd,
        /// The new one.
        new: Fd,
    },
    /// Bytes were written.
    Written {
        /// To which file.
        fd: Fd,
        /// Where in it; else where the last write ended.
        at: Option<u64>,
        /// Which.
        data: Vec<u8>,
    },
    /// The next write goes elsewhere.
    Sought {
        /// Of which file.
        fd: Fd,
        /// Where.
        to: u64,
    },
    /// A file is so long now.
    Sized {
        /// Which file.
        fd: Fd,
        /// How long.
        length: u64,
    },
    /// Space from here on was given back; as long as nothing is there, that changes nothing.
    Punched {
        /// Of which file.
        fd: Fd,
        /// From where.
        from: u64,
    },
    /// A sync began.
    SyncBegun {
        /// In which thread.
        thread: u32,
        /// Of which file or folder.
        fd: Fd,
    },
    /// The sync that a thread had begun succeeded.
    SyncDone {
        /// Which.
        thread: u32,
    },
    /// A name was changed.
    Moved {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// A name is gone.
    Removed {
        /// Which.
        path: PathBuf,
    },
    /// A folder was made.
    Made {
        /// Where.
        path: PathBuf,
    },
    /// A call of which the process did not live to see the end: what it does may be done, or not.
    Interrupted {
        /// The numbers in it that may be files.
        fds: Vec<Fd>,
        /// The names in it.
        paths: Vec<PathBuf>,
    },
    /// Something that is not understood, which is no matter as long as it concerns other files.
    Other {
        /// The call, as text.
        call: String,
        /// The numbers in it that may be files.
        fds: Vec<Fd>,
        /// The names in it.
        paths: Vec<PathBuf>,
    },
}

/// What was done, in its order.
///
/// # Errors
/// The line that is not understood.
pub fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut parser = Parser::default();
    for (index, line) in text.lines().enumerate() {
        let named = |why: &str| format!("line {} of the trace: {why}: {:.200}", index + 1, line);
        parser.line(line).ok_or_else(|| named("not understood"))?;
    }
    let at_us = parser.events.last().map_or(0, |event| event.at_us);
    for text in std::mem::take(&mut parser.begun).into_values() {
        parser.interrupted(at_us, &text).ok_or_else(|| format!("not understood: {text:.200}"))?;
    }
    Ok(parser.events)
}

/// Whether the trace of process `pid` is whole: it says how the process ended.
#[must_use]
pub fn is_whole(text: &str, pid: i32) -> bool {
    let own = |line: &str| line.split_once(' ').is_some_and(|(first, _)| first == pid.to_string());
    text.ends_with('\n') && text.lines().rev().take(200).any(|line| own(line) && line.contains(" +++ "))
}

#[derive(Default)]
struct Parser {
    events: Vec<Event>,
    /// Calls that have begun, by thread: their text so far.
    begun: BTreeMap<u32, String>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Option<()> {
        let (thread, rest) = line.split_once(' ')?;
        let thread = thread.parse().ok()?;
        let (time, rest) = rest.trim_start().split_once(' ')?;
        let at_us = micros(time)?;
        if rest.starts_with("---") || rest.starts_with("+++") {
            return Some(());
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, tail) = resumed.split_once(" resumed>")?;
            let head = self.begun.remove(&thread)?;
            return self.end(thread, at_us, &(head + tail));
        }
        if let Some(head) = rest.strip_suffix("<unfinished ...>") {
            self.begin(thread, at_us, head)?;
            self.begun.insert(thread, head.to_owned());
            return Some(());
        }
        self.begin(thread, at_us, rest)?;
        let took = rest.rsplit_once('<').and_then(|(_, took)| micros(took.strip_suffix('>')?));
        self.end(thread, at_us + took.unwrap_or(0), rest)
    }

    fn push(&mut self, at_us: u64, what: What) {
        self.events.push(Event { at_us, what });
    }

    fn begin(&mut self, thread: u32, at_us: u64, text: &str) -> Option<()> {
        let (name, arguments) = text.split_once('(')?;
        let first = || arguments.split([',', ')', ' ']).next()?.parse::<Fd>().ok();
        match name {
            "close" => self.push(at_us, What::Closed { fd: first()? }),
            "fsync" | "fdatasync" => self.push(at_us, What::SyncBegun { thread, fd: first()? }),
            _ => {}
        }
        Some(())
    }

    fn interrupted(&mut self, at_us: u64, call: &str) -> Option<()> {
        let (_, arguments) = call.split_once('(')?;
        let fields = Fields::of(arguments.trim_end().trim_end_matches(')'));
        let (fds, paths) = (fields.fds(), fields.paths());
        self.push(at_us, What::Interrupted { fds, paths });
        Some(())
    }

    fn end(&mut self, thread: u32, at_us: u64, text: &str) -> Option<()> {
        let (call, result) = text.rsplit_once(" = ")?;
        if result.starts_with('?') {
            return self.interrupted(at_us, call);
        }
        let result = number(result.split(' ').next()?)?;
        if result < 0 {
            return Some(());
        }
        let (name, arguments) = call.split_once('(')?;
        let fields = Fields::of(arguments.trim_end().strip_suffix(')')?);
        if let Some(what) = what(name, &fields, result, thread)? {
            self.push(at_us, what);
        }
        Some(())
    }
}

/// What a call did; nothing, if it changes nothing here. None if it is not understood.
fn what(name: &str, fields: &Fields<'_>, result: i64, thread: u32) -> Option<Option<What>> {
    let count = usize::try_from(result).ok()?;
    let opened = |path, flags: &str| What::Opened { fd: result, path, flags: flags.to_owned() };
    let written = |at| -> Option<What> {
        let mut data = fields.bytes()?;
        data.truncate(count);
        Some(What::Written { fd: fields.number(0)?, at, data })
    };
    let moved =
        |from, to| -> Option<What> { Some(What::Moved { from: fields.path(from)?, to: fields.path(to)? }) };
    Some(Some(match name {
        "close" => return Some(None),
        "fsync" | "fdatasync" => What::SyncDone { thread },
        "open" => opened(fields.path(0)?, fields.text(1)?),
        "creat" => opened(fields.path(0)?, "O_WRONLY|O_CREAT|O_TRUNC"),
        "openat" if fields.is_within_cwd(0, 1) => opened(fields.path(1)?, fields.text(2)?),
        "write" | "writev" => written(None)?,
        "pwrite64" | "pwritev" => written(Some(fields.offset(3)?))?,
        "lseek" => What::Sought { fd: fields.number(0)?, to: u64::try_from(result).ok()? },
        "ftruncate" => What::Sized { fd: fields.number(0)?, length: fields.offset(1)? },
        // Space that is set aside is no content.
        "fallocate" if fields.text(1)? == "FALLOC_FL_KEEP_SIZE" => return Some(None),
        "fallocate" if fields.text(1)?.contains("PUNCH_HOLE") => {
            What::Punched { fd: fields.number(0)?, from: fields.offset(2)? }
        }
        "rename" => moved(0, 1)?,
        "renameat" if fields.is_within_cwd(0, 1) && fields.is_within_cwd(2, 3) => moved(1, 3)?,
        "renameat2" if fields.is_within_cwd(0, 1) && fields.is_within_cwd(2, 3) && fields.text(4)? == "0" => {
            moved(1, 3)?
        }
        "unlink" | "rmdir" => What::Removed { path: fields.path(0)? },
        "unlinkat" if fields.is_within_cwd(0, 1) => What::Removed { path: fields.path(1)? },
        "mkdir" => What::Made { path: fields.path(0)? },
        "mkdirat" if fields.is_within_cwd(0, 1) => What::Made { path: fields.path(1)? },
        "dup" | "dup2" | "dup3" => What::Duplicated { fd: fields.number(0)?, new: result },
        "fcntl" if fields.text(1)?.starts_with("F_DUPFD") => {
            What::Duplicated { fd: fields.number(0)?, new: result }
        }
        "fcntl" => return Some(None),
        _ => What::Other { call: name.to_owned(), fds: fields.fds(), paths: fields.paths() },
    }))
}

/// The arguments of a call, as text.
struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    /// Parts it at its commas, those within brackets left alone. No string has one: all of it is hex.
    fn of(text: &'a str) -> Self {
        let (mut fields, mut depth, mut from) = (Vec::new(), 0_u32, 0);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    fields.push(text[from..at].trim());
                    from = at + 1;
                }
                _ => {}
            }
        }
        fields.push(text[from..].trim());
        Self(fields)
    }

    fn text(&self, index: usize) -> Option<&'a str> {
        self.0.get(index).copied()
    }

    fn number(&self, index: usize) -> Option<Fd> {
        self.text(index)?.parse().ok()
    }

    fn offset(&self, index: usize) -> Option<u64> {
        self.text(index)?.parse().ok()
    }

    fn path(&self, index: usize) -> Option<PathBuf> {
        let mut strings = strings(self.text(index)?)?;
        (strings.len() == 1).then(|| PathBuf::from(OsString::from_vec(strings.remove(0))))
    }

    /// Whether a name is to be found without knowing another open folder.
    fn is_within_cwd(&self, folder: usize, path: usize) -> bool {
        self.text(folder) == Some("AT_FDCWD") || self.path(path).is_some_and(|path| path.is_absolute())
    }

    /// What is written: one string, or those of a list.
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(strings(self.text(1)?)?.concat())
    }

    /// All numbers that may be files.
    fn fds(&self) -> Vec<Fd> {
        self.0.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// All strings that may be names.
    fn paths(&self) -> Vec<PathBuf> {
        let strings = self.0.iter().filter_map(|text| strings(text)).flatten();
        strings.map(|bytes| PathBuf::from(OsString::from_vec(bytes))).collect()
    }
}

/// The quoted strings in a text; none if one of them was cut short.
fn strings(text: &str) -> Option<Vec<Vec<u8>>> {
    if text.contains("\"...") {
        return None;
    }
    text.split('"').skip(1).step_by(2).map(unhex).collect()
}

/// `\x01\x02`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |four: &[u8]| match four {
        [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(4).map(byte).collect()
}

/// What a call returned: flags are hex.
fn number(text: &str) -> Option<i64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| i64::from_str_radix(hex, 16).ok())
}

/// `1795301553.106616`, as microseconds.
fn micros(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    if rest.len() != 6 {
        return None;
    }
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(rest.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(text: &str) -> Vec<What> {
        parse(text).expect("understood").into_iter().map(|event| event.what).collect()
    }

    #[test]
    fn calls_are_read_with_their_bytes() {
        let text = "7 1.000001 openat(AT_FDCWD, \"\\x2f\\x61\", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5 <0.000062>\n\
            7 1.000100 write(5, \"\\x01\\xff\", 2)   = 2 <0.000010>\n\
            7 1.000200 pwrite64(5, \"\\x02\\x03\", 2, 40) = 1 <0.000010>\n\
            7 1.000300 write(5, \"\\x02\", 1) = -1 EIO (Input/output error) <0.000010>\n\
            7 1.000400 rename(\"\\x61\", \"\\x62\") = 0 <0.000040>\n\
            7 1.000500 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
            7 1.000550 fcntl(5, F_GETFD) = 0x1 (flags FD_CLOEXEC) <0.000007>\n\
            7 1.000600 close(5) = 0 <0.000001>\n";
        let flags = "O_RDWR|O_CREAT|O_CLOEXEC".to_owned();
        let expected = [
            What::Opened { fd: 5, path: "/a".into(), flags },
            What::Written { fd: 5, at: None, data: vec![1, 255] },
            What::Written { fd: 5, at: Some(40), data: vec![2] },
            What::Moved { from: "a".into(), to: "b".into() },
            What::Closed { fd: 5 },
        ];
        assert_eq!(whats(text), expected);
        assert_eq!(parse(text).expect("understood")[1].at_us, 1_000_110, "when it ended");
    }

    #[test]
    fn a_sync_begins_and_ends_with_other_calls_between() {
        let text = "7 1.000001 fdatasync(5 <unfinished ...>\n\
            8 1.000002 write(5, \"\\x01\", 1) = 1 <0.000010>\n\
            7 1.000900 <... fdatasync resumed>) = 0 <0.000899>\n\
            8 1.000950 fdatasync(5 <unfinished ...>\n\
            8 1.000960 <... fdatasync resumed>) = ? <unavailable>\n";
        let written = What::Written { fd: 5, at: None, data: vec![1] };
        let begun = |thread| What::SyncBegun { thread, fd: 5 };
        let cut_off = What::Interrupted { fds: vec![5], paths: Vec::new() };
        assert_eq!(whats(text), [begun(7), written, What::SyncDone { thread: 7 }, begun(8), cut_off]);
    }

    #[test]
    fn what_was_cut_short_is_refused() {
        let unfinished = "7 1.000001 pwrite64(5, \"\\x01\", 1, 40 <unfinished ...>\n";
        assert_eq!(
            whats(unfinished),
            [What::Interrupted { fds: vec![5, 1, 40], paths: vec!["\x01".into()] }]
        );
        let line = "7 1.000001 write(5, \"\\x01\"..., 9) = 9 <0.000010>\n";
        assert!(parse(line).is_err());
        assert!(parse("rubbish\n").is_err());
    }

    #[test]
    fn a_trace_is_whole_when_it_says_how_the_process_ended() {
        let text = "70 1.000001 +++ killed by SIGKILL +++\n7 1.000002 +++ killed by SIGKILL +++\n";
        assert!(is_whole(text, 7));
        assert!(!is_whole(text, 8));
        assert!(!is_whole(&text[..50], 7), "the thread's end is not the process's");
    }
}
