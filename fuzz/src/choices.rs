//! Decisions from bytes.

/// Decisions that are taken from the bytes of an input, one after the other; when they are used up, each is 0.
#[derive(Debug)]
pub struct Choices<'d>(pub &'d [u8]);

impl<'d> Choices<'d> {
    /// One of `count`, from 0.
    pub fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count.max(1)
    }

    /// Yes or no.
    pub fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }

    /// The remaining bytes up to the next line feed.
    pub fn line(&mut self) -> &'d [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// The next line as text.
    pub fn text(&mut self) -> String {
        text(self.line())
    }

    /// All that is left, as text.
    pub fn rest(&mut self) -> String {
        text(std::mem::take(&mut self.0))
    }
}

/// The valid UTF-8 in these bytes.
fn text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}
