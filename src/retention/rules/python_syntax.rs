//! Python's syntax of regular expressions, written in the engine's.

use std::collections::HashSet;

use super::pattern_error::PatternError;
use super::python_char_class::category;

/// The flags of a part of the pattern, as in `(?im:…)`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    pub(super) verbose: bool,
    pub(super) ascii: bool,
}

/// The element before a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Assertion,
    Repetition,
    Element,
}

/// A pattern while it is translated.
pub(super) struct Translation {
    pattern: Vec<char>,
    pub(super) at: usize,
    names: HashSet<String>,
    pub(super) out: String,
}

type Translated<T> = Result<T, PatternError>;

impl Translation {
    pub(super) fn of(text: &str) -> Translated<String> {
        let mut this = Self { pattern: text.chars().collect(), at: 0, names: HashSet::new(), out: String::new() };
        let flags = this.global_flags()?;
        this.open(flags);
        this.alternatives(flags, 0)?;
        this.out.push(')');
        match this.next() {
            None => Ok(this.out),
            Some(_) => Err(this.error_at(this.at - 1, "unbalanced parenthesis")),
        }
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.pattern.get(self.at).copied()
    }

    pub(super) fn take(&mut self, expected: char) -> bool {
        let is_next = self.peek() == Some(expected);
        self.at += usize::from(is_next);
        is_next
    }

    fn take_while(&mut self, at_most: usize, is_wanted: impl Fn(char) -> bool) -> String {
        let text: String = self.pattern[self.at..].iter().take(at_most).take_while(|c| is_wanted(**c)).collect();
        self.at += text.chars().count();
        text
    }

    pub(super) fn error_at(&self, at: usize, problem: &str) -> PatternError {
        PatternError::new(format!("{problem} at position {at}"))
    }

    fn open(&mut self, flags: Flags) {
        self.out.push_str(if flags.ignore_case { "(?i:" } else { "(?-i:" });
    }

    /// Reads `(?im)` at the beginning, where Python has the flags of the whole pattern.
    fn global_flags(&mut self) -> Translated<Flags> {
        let mut flags = Flags::default();
        let mut kinds = HashSet::new();
        loop {
            let begin = self.at;
            if flags.verbose {
                self.skip_blanks();
            }
            let rest: String = self.pattern[self.at..].iter().take(2).collect();
            if rest != "(?" || !self.pattern.get(self.at + 2).is_some_and(|c| FLAGS.contains(*c)) {
                self.at = begin;
                return Ok(flags);
            }
            self.at += 2;
            let letters = self.take_while(usize::MAX, |c| FLAGS.contains(c));
            if self.take(')') {
                self.add(&letters, &mut flags, &mut kinds, begin)?;
            } else {
                self.at = begin;
                return Ok(flags);
            }
        }
    }

    fn add(&self, letters: &str, flags: &mut Flags, kinds: &mut HashSet<char>, at: usize) -> Translated<()> {
        for letter in letters.chars() {
            match letter {
                'i' => flags.ignore_case = true,
                'm' => flags.multi_line = true,
                's' => flags.dot_all = true,
                'x' => flags.verbose = true,
                'L' => return Err(self.error_at(at, "bad inline flags: cannot use 'L' flag with a str pattern")),
                kind => {
                    flags.ascii = kind == 'a';
                    kinds.insert(kind);
                }
            }
        }
        if kinds.len() > 1 {
            return Err(self.error_at(at, "bad inline flags: flags 'a', 'u' and 'L' are incompatible"));
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while let Some(next) = self.peek() {
            if BLANKS.contains(next) {
                self.at += 1;
            } else if next == '#' {
                self.take_while(usize::MAX, |c| c != '\n');
            } else {
                return;
            }
        }
    }

    /// Reads alternatives up to the end or a closing parenthesis, which stays.
    fn alternatives(&mut self, flags: Flags, depth: usize) -> Translated<()> {
        if depth > MAX_DEPTH {
            return Err(self.error_at(self.at, "groups are nested more than 50 deep"));
        }
        let mut last = Last::Nothing;
        let mut begin = self.out.len();
        loop {
            if flags.verbose {
                self.skip_blanks();
            }
            let Some(next) = self.peek() else { return Ok(()) };
            if next == ')' {
                return Ok(());
            }
            let at = self.at;
            self.at += 1;
            match next {
                '|' => {
                    self.out.push('|');
                    last = Last::Nothing;
                }
                '*' | '+' | '?' => last = self.repeat(next.to_string(), last, begin, at)?,
                '{' => match self.bounds()? {
                    Some(bounds) => last = self.repeat(bounds, last, begin, at)?,
                    None => {
                        begin = self.out.len();
                        self.literal('{');
                        last = Last::Element;
                    }
                },
                '(' => {
                    if let Some(kind) = self.group(flags, depth, at)? {
                        begin = kind;
                        last = Last::Element;
                    }
                }
                _ => {
                    begin = self.out.len();
                    last = self.element(next, flags, at)?;
                }
            }
        }
    }

    /// Reads one element that is no group.
    fn element(&mut self, first: char, flags: Flags, at: usize) -> Translated<Last> {
        match first {
            '.' => self.out.push_str(if flags.dot_all { "(?s:.)" } else { r"[^\n]" }),
            '^' => {
                self.out.push_str(if flags.multi_line { "(?m:^)" } else { r"\A" });
                return Ok(Last::Assertion);
            }
            '$' => {
                // Before a line break at the end, too: taken along, because nothing but the end can follow.
                self.out.push_str(if flags.multi_line { "(?m:$)" } else { r"(?:\n?\z)" });
                return Ok(Last::Assertion);
            }
            '[' => self.set(flags, at)?,
            '\\' => return self.escape(flags, at),
            literal => self.literal(literal),
        }
        Ok(Last::Element)
    }

    fn literal(&mut self, literal: char) {
        if literal.is_ascii_alphanumeric() {
            self.out.push(literal);
        } else {
            self.out.push_str(&format!(r"\x{{{:X}}}", u32::from(literal)));
        }
    }

    fn escape(&mut self, flags: Flags, at: usize) -> Translated<Last> {
        let Some(escaped) = self.peek() else { return Err(self.error_at(at, "bad escape (end of pattern)")) };
        let assertion = match (escaped, flags.ascii) {
            ('A', _) => Some(r"\A"),
            ('Z', _) => Some(r"\z"),
            ('b', false) => Some(r"\b"),
            ('b', true) => Some(r"(?-u:\b)"),
            ('B', false) => Some(r"\B"),
            ('B', true) => Some(r"(?-u:\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.at += 1;
            self.out.push_str(assertion);
            return Ok(Last::Assertion);
        }
        if let Some(members) = category(escaped, flags.ascii) {
            self.at += 1;
            // Without regard to case an ASCII set would take letters beyond ASCII along.
            self.out.push_str(&format!("(?-i:{members})"));
            return Ok(Last::Element);
        }
        let literal = self.escaped_char(at, false)?;
        self.literal(literal);
        Ok(Last::Element)
    }

    /// Reads the character behind a backslash.
    pub(super) fn escaped_char(&mut self, at: usize, in_set: bool) -> Translated<char> {
        let Some(escaped) = self.next() else { return Err(self.error_at(at, "bad escape (end of pattern)")) };
        let digits = match escaped {
            'a' => return Ok('\u{7}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            'b' if in_set => return Ok('\u{8}'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'N' => return Err(PatternError::unsupported(r"the name of a character, `\N`,")),
            '0'..='9' => return self.octal(escaped, at, in_set),
            letter if letter.is_ascii_alphabetic() => {
                return Err(self.error_at(at, &format!(r"bad escape \{letter}")));
            }
            other => return Ok(other),
        };
        let hex = self.take_while(digits, |c| c.is_ascii_hexdigit());
        if hex.len() < digits {
            return Err(self.error_at(at, &format!(r"incomplete escape \{escaped}{hex}")));
        }
        let number = u32::from_str_radix(&hex, 16).unwrap_or(u32::MAX);
        // A surrogate is a character in Python, and in no text of ours.
        char::from_u32(number).ok_or_else(|| self.error_at(at, &format!(r"bad escape \{escaped}{hex}")))
    }

    /// Reads the rest of `\0`, `\12` or `\123`: an octal number, else a back-reference.
    fn octal(&mut self, first: char, at: usize, in_set: bool) -> Translated<char> {
        let is_octal = |c: char| ('0'..='7').contains(&c);
        let mut digits = first.to_string();
        if first == '0' || (in_set && is_octal(first)) {
            digits.push_str(&self.take_while(2, is_octal));
        } else if in_set {
            return Err(self.error_at(at, &format!(r"bad escape \{first}")));
        } else {
            digits.push_str(&self.take_while(1, |c| c.is_ascii_digit()));
            let third =
                self.peek().filter(|third| digits.len() == 2 && digits.chars().all(is_octal) && is_octal(*third));
            match third {
                Some(third) => {
                    self.at += 1;
                    digits.push(third);
                }
                None => return Err(PatternError::unsupported(&format!(r"the back-reference `\{digits}`"))),
            }
        }
        let number = u32::from_str_radix(&digits, 8).unwrap_or(u32::MAX);
        if number > 0o377 {
            return Err(self.error_at(at, &format!(r"octal escape value \{digits} outside of range 0-0o377")));
        }
        Ok(char::from_u32(number).unwrap_or_default())
    }

    /// Reads the rest of `{2,3}` behind its `{`; `None` if it is a plain brace.
    fn bounds(&mut self) -> Translated<Option<String>> {
        let begin = self.at;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let low = self.take_while(usize::MAX, |c| c.is_ascii_digit());
        let high = if self.take(',') { self.take_while(usize::MAX, |c| c.is_ascii_digit()) } else { low.clone() };
        if !self.take('}') {
            self.at = begin;
            return Ok(None);
        }
        let number = |digits: &str| match digits.parse::<u32>() {
            Ok(number) => Ok(number),
            Err(_) => Err(self.error_at(begin, "the repetition number is too large")),
        };
        let least = if low.is_empty() { 0 } else { number(&low)? };
        if high.is_empty() {
            return Ok(Some(format!("{{{least},}}")));
        }
        let most = number(&high)?;
        if most < least {
            return Err(self.error_at(begin, "min repeat greater than max repeat"));
        }
        Ok(Some(format!("{{{least},{most}}}")))
    }

    /// Repeats what was written from `begin` on.
    fn repeat(&mut self, repetition: String, last: Last, begin: usize, at: usize) -> Translated<Last> {
        match last {
            Last::Nothing | Last::Assertion => return Err(self.error_at(at, "nothing to repeat")),
            Last::Repetition => return Err(self.error_at(at, "multiple repeat")),
            Last::Element => {}
        }
        if self.take('+') {
            return Err(PatternError::unsupported("a possessive repetition"));
        }
        // Lazy or not, the same texts match.
        self.take('?');
        self.out.insert_str(begin, "(?:");
        self.out.push(')');
        self.out.push_str(&repetition);
        Ok(Last::Repetition)
    }

    /// Reads a group behind its `(`, and returns its beginning in the output; `None` for a comment.
    fn group(&mut self, mut flags: Flags, depth: usize, at: usize) -> Translated<Option<usize>> {
        if self.take('?') {
            let Some(kind) = self.next() else { return Err(self.error_at(at, "unexpected end of pattern")) };
            match kind {
                ':' => {}
                'P' => self.group_name(at)?,
                '#' => {
                    self.take_while(usize::MAX, |c| c != ')');
                    return if self.take(')') {
                        Ok(None)
                    } else {
                        Err(self.error_at(at, "missing ), unterminated comment"))
                    };
                }
                '=' | '!' => return Err(PatternError::unsupported(&format!("lookahead `(?{kind}`"))),
                '<' => {
                    return match self.next() {
                        Some(kind @ ('=' | '!')) => Err(PatternError::unsupported(&format!("lookbehind `(?<{kind}`"))),
                        _ => Err(self.error_at(at, "unknown extension ?<")),
                    };
                }
                '(' => return Err(PatternError::unsupported("a condition `(?(`")),
                '>' => return Err(PatternError::unsupported("an atomic group `(?>`")),
                kind if kind == '-' || FLAGS.contains(kind) => {
                    self.at -= 1;
                    self.group_flags(&mut flags, at)?;
                }
                kind => return Err(self.error_at(at, &format!("unknown extension ?{kind}"))),
            }
        }
        let begin = self.out.len();
        self.open(flags);
        self.alternatives(flags, depth + 1)?;
        if !self.take(')') {
            return Err(self.error_at(at, "missing ), unterminated subpattern"));
        }
        self.out.push(')');
        Ok(Some(begin))
    }

    /// Reads `<name>` of `(?P<name>`.
    fn group_name(&mut self, at: usize) -> Translated<()> {
        if self.take('=') {
            return Err(PatternError::unsupported("the back-reference `(?P=`"));
        }
        if !self.take('<') {
            return Err(self.error_at(at, "unknown extension ?P"));
        }
        let name = self.take_while(usize::MAX, |c| c != '>');
        if !self.take('>') {
            return Err(self.error_at(at, "missing >, unterminated name"));
        }
        let mut letters = name.chars();
        let is_name = letters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
            && letters.all(|c| c == '_' || c.is_alphanumeric());
        if !is_name {
            return Err(self.error_at(at, &format!("bad character in group name {name:?}")));
        }
        if !self.names.insert(name.clone()) {
            return Err(self.error_at(at, &format!("redefinition of group name {name:?}")));
        }
        Ok(())
    }

    /// Reads `im-s:` of `(?im-s:`.
    fn group_flags(&mut self, flags: &mut Flags, at: usize) -> Translated<()> {
        let on = self.take_while(usize::MAX, |c| FLAGS.contains(c));
        let mut kinds = HashSet::new();
        self.add(&on, flags, &mut kinds, at)?;
        if self.take('-') {
            let off = self.take_while(usize::MAX, |c| FLAGS.contains(c));
            if off.is_empty() {
                return Err(self.error_at(self.at, "missing flag"));
            }
            for letter in off.chars() {
                let is_both = on.contains(letter);
                match letter {
                    _ if is_both => return Err(self.error_at(at, "bad inline flags: flag turned on and off")),
                    'i' => flags.ignore_case = false,
                    'm' => flags.multi_line = false,
                    's' => flags.dot_all = false,
                    'x' => flags.verbose = false,
                    _ => {
                        let problem = "bad inline flags: cannot turn off flags 'a', 'u' and 'L'";
                        return Err(self.error_at(at, problem));
                    }
                }
            }
        } else if self.peek() == Some(')') {
            return Err(self.error_at(at, "global flags not at the start of the expression"));
        }
        if self.take(':') { Ok(()) } else { Err(self.error_at(self.at, "missing -, : or )")) }
    }
}

/// The nesting depth of groups.
pub(super) const MAX_DEPTH: usize = 50;
const FLAGS: Letters = Letters("aiLmsux");
const BLANKS: Letters = Letters(" \t\n\r\u{b}\u{c}");

/// A set of letters.
#[derive(Clone, Copy)]
struct Letters(&'static str);

impl Letters {
    fn contains(self, letter: char) -> bool {
        self.0.contains(letter)
    }
}
