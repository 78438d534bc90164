//! Lower-case hexadecimal digits.

/// Writes two digits a byte, as many as there is room for, and returns them.
pub(crate) fn encode<'d>(bytes: &[u8], digits: &'d mut [u8]) -> &'d str {
    let len = fill(bytes, digits);
    std::str::from_utf8(&digits[..len]).unwrap_or_default()
}

/// Writes two digits a byte, as many as there is room for, and returns their number.
pub(super) fn fill(bytes: &[u8], digits: &mut [u8]) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut len = 0;
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
        len += 2;
    }
    len
}
