//! Sets of characters in Python's syntax, such as `[^a-z\d]`.

use super::pattern_error::PatternError;
use super::python_char_class::category;
use super::python_syntax::{Flags, Translation};

impl Translation {
    /// Reads a set of characters behind its `[`.
    pub(super) fn set(&mut self, flags: Flags, at: usize) -> Result<(), PatternError> {
        let unterminated = |this: &Self| this.error_at(at, "unterminated character set");
        self.out.push('[');
        if self.take('^') {
            self.out.push('^');
        }
        let mut is_empty = true;
        loop {
            if !is_empty && self.take(']') {
                self.out.push(']');
                return Ok(());
            }
            is_empty = false;
            let first = self.member(flags).ok_or_else(|| unterminated(self))??;
            if !self.take('-') {
                self.put_member(&first);
                continue;
            }
            if self.take(']') {
                self.put_member(&first);
                self.put_member(&Member::Char('-'));
                self.out.push(']');
                return Ok(());
            }
            let last = self.member(flags).ok_or_else(|| unterminated(self))??;
            match (first, last) {
                (Member::Char(first), Member::Char(last)) if first <= last => {
                    self.put_member(&Member::Char(first));
                    self.out.push('-');
                    self.put_member(&Member::Char(last));
                }
                _ => return Err(self.error_at(self.at, "bad character range")),
            }
        }
    }

    fn member(&mut self, flags: Flags) -> Option<Result<Member, PatternError>> {
        let at = self.at;
        let first = self.next()?;
        if first != '\\' {
            return Some(Ok(Member::Char(first)));
        }
        if let Some(members) = self.peek().and_then(|escaped| category(escaped, flags.ascii)) {
            self.at += 1;
            return Some(Ok(Member::Category(members)));
        }
        Some(self.escaped_char(at, true).map(Member::Char))
    }

    fn put_member(&mut self, member: &Member) {
        match member {
            Member::Char(c) => self.out.push_str(&format!(r"\x{{{:X}}}", u32::from(*c))),
            Member::Category(members) => self.out.push_str(members),
        }
    }
}

/// A member of a set.
enum Member {
    Char(char),
    Category(&'static str),
}
