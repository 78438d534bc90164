//! A set of rows of one segment, and its encoding.

/// Rows of one segment, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// Adds a row. One beyond those of a segment is left out: it would need memory for all numbers before it.
    pub(crate) fn insert(&mut self, row: u32) {
        if row >= MAX_ROWS {
            return;
        }
        let word = row as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }

    /// Adds all of these rows.
    pub(crate) fn union(&mut self, kept: EncodedRows<'_>) {
        if kept.shape != Shape::Bitmap {
            return kept.each(|row| self.insert(row));
        }
        let words = kept.words();
        self.words.resize(self.words.len().max(words.len()), 0);
        self.words.iter_mut().zip(words).for_each(|(word, more)| *word |= more);
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(crate) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps the rows that are in both sets.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Removes the rows of the other set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip(0_u32..).flat_map(|(word, place)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(place * 64 + bit)
            })
        })
    }
}

/// The number of row numbers in a segment: twice the rows it holds.
pub(crate) const MAX_ROWS: u32 = 1 << 16;

/// Encodes ascending rows: their number, then the first of a run without a gap, the steps between them or, where shorter, a
/// bitmap. `[3, 5]` is `[0x08, 0x03, 0x02]`, `[3, 4, 5, 6]` is `[0x12, 0x03]`.
pub(crate) fn encode(rows: &[u32], text: &mut Vec<u8>) {
    let words = rows.last().map_or(0, |last| *last as usize / 64 + 1);
    // A step has a byte at the least.
    let shape = match rows {
        [first, .., last] if (last - first) as usize + 1 == rows.len() => Shape::Run,
        _ if rows.len() > words * 8 => Shape::Bitmap,
        _ => Shape::Steps,
    };
    write_varint((rows.len() as u64) << 2 | shape as u64, text);
    if shape == Shape::Run {
        return write_varint(u64::from(rows[0]), text);
    }
    if shape == Shape::Bitmap {
        let mut set = RowSet::default();
        rows.iter().for_each(|row| set.insert(*row));
        write_varint(words as u64, text);
        set.words.iter().for_each(|word| text.extend_from_slice(&word.to_le_bytes()));
        return;
    }
    let mut before = 0;
    for row in rows {
        write_varint(u64::from(row - before), text);
        before = *row;
    }
}

/// The form of encoded rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Steps = 0,
    Bitmap = 1,
    Run = 2,
}

/// Encoded rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedRows<'a> {
    len: u64,
    shape: Shape,
    /// The first row of a run.
    first: u32,
    text: &'a [u8],
}

impl<'a> EncodedRows<'a> {
    /// Decodes rows from the beginning of a text; `None` if there are none.
    pub(crate) fn take(text: &mut &'a [u8]) -> Option<Self> {
        let header = read_varint(text)?;
        let (len, begin) = (header >> 2, *text);
        match header & 3 {
            0 => {}
            1 => {
                let bytes = usize::try_from(read_varint(text)?).ok()?.checked_mul(8)?;
                if bytes > MAX_ROWS as usize / 8 {
                    return None;
                }
                let (words, rest) = text.split_at_checked(bytes)?;
                *text = rest;
                return Some(Self { len, shape: Shape::Bitmap, first: 0, text: words });
            }
            2 => {
                let first = read_varint(text)?;
                return (first + len <= u64::from(MAX_ROWS)).then_some(Self {
                    len,
                    shape: Shape::Run,
                    first: first as u32,
                    text: &[],
                });
            }
            _ => return None,
        }
        let mut row = 0;
        for _ in 0..len {
            row += read_varint(text)?;
            if row >= u64::from(MAX_ROWS) {
                return None;
            }
        }
        Some(Self { len, shape: Shape::Steps, first: 0, text: &begin[..begin.len() - text.len()] })
    }

    pub(crate) fn len(self) -> u64 {
        self.len
    }

    fn words(self) -> impl ExactSizeIterator<Item = u64> {
        let (words, _) = self.text.as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// Gives each row to `visit`, ascending.
    pub(crate) fn each(self, mut visit: impl FnMut(u32)) {
        if self.shape == Shape::Run {
            return (self.first..self.first + self.len as u32).for_each(visit);
        }
        if self.shape == Shape::Bitmap {
            for (mut left, place) in self.words().zip(0_u32..) {
                while left != 0 {
                    visit(place * 64 + left.trailing_zeros());
                    left &= left - 1;
                }
            }
            return;
        }
        let (mut text, mut row) = (self.text, 0);
        while let Some(step) = read_varint(&mut text) {
            row += step as u32;
            visit(row);
        }
    }
}

/// Writes a number as LEB128: 300 is `[0xAC, 0x02]`.
pub(crate) fn write_varint(mut number: u64, text: &mut Vec<u8>) {
    while number >= 0x80 {
        text.push(number as u8 | 0x80);
        number >>= 7;
    }
    text.push(number as u8);
}

/// Reads a LEB128 number from the beginning of a text; `None` if there is none.
pub(crate) fn read_varint(text: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (place, byte) in text.iter().enumerate().take(MOST_NUMBER_BYTES) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            *text = &text[place + 1..];
            return Some(number);
        }
    }
    None
}

/// Enough for every number here, and too few to shift a bit out.
const MOST_NUMBER_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(rows: &BTreeSet<u32>) -> RowSet {
        let mut set = RowSet::default();
        rows.iter().for_each(|row| set.insert(*row));
        set
    }

    fn some_rows() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            prop::collection::btree_set(0..MAX_ROWS, 0..40),
            prop::collection::btree_set(0..300_u32, 0..300),
            (0..2000_u32, 0..2000_u32).prop_map(|(begin, len)| (begin..begin + len).collect()),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in some_rows(), other in some_rows(), after in "[a-z]{0,9}") {
            let listed: Vec<u32> = rows.iter().copied().collect();
            let mut text = Vec::new();
            encode(&listed, &mut text);
            prop_assert!(text.len() <= 5 + listed.len() * 3);
            text.extend_from_slice(after.as_bytes());
            let mut rest = text.as_slice();
            let kept = EncodedRows::take(&mut rest).unwrap();
            prop_assert_eq!(rest, after.as_bytes());
            prop_assert_eq!(kept.len(), listed.len() as u64);
            let mut found = Vec::new();
            kept.each(|row| found.push(row));
            prop_assert_eq!(&found, &listed);
            let mut taken = set(&other);
            taken.union(kept);
            prop_assert_eq!(taken, set(&rows.union(&other).copied().collect()));
        }

        #[test]
        fn a_set_is_a_set(one in some_rows(), other in some_rows()) {
            let (mut both, mut only) = (set(&one), set(&one));
            prop_assert_eq!(both.iter().collect::<BTreeSet<_>>(), one.clone());
            prop_assert!(one.iter().all(|row| both.contains(*row)));
            prop_assert_eq!(both.len(), one.len() as u64);
            both.intersect(&set(&other));
            prop_assert_eq!(both.iter().collect::<Vec<_>>(), one.intersection(&other).copied().collect::<Vec<_>>());
            only.subtract(&set(&other));
            prop_assert_eq!(only.iter().collect::<Vec<_>>(), one.difference(&other).copied().collect::<Vec<_>>());
            prop_assert_eq!(only.is_empty(), one.is_subset(&other));
        }

        #[test]
        fn damage_is_noticed_or_harmless(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut rest = text.as_slice();
            if let Some(kept) = EncodedRows::take(&mut rest) {
                kept.each(|row| assert!(row < MAX_ROWS));
            }
        }
    }
}
