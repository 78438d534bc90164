//! Characters that are unsafe to display.

/// Returns true for characters that a terminal acts on, reorders around, or shows as nothing or a blank.
///
/// ```
/// use tower_audit::export::is_unsafe_to_display;
///
/// assert!(is_unsafe_to_display('\u{202e}') && is_unsafe_to_display('\u{1b}') && !is_unsafe_to_display('é'));
/// ```
pub fn is_unsafe_to_display(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    // C1 controls, and every blank that is not the plain one: line and paragraph separators among them.
    if character.is_control() || character.is_whitespace() {
        return true;
    }
    matches!(
        character,
        '\u{00ad}' // soft hyphen
        | '\u{034f}' // combining grapheme joiner
        | '\u{061c}' // Arabic letter mark
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
        | '\u{180b}'..='\u{180f}' // Mongolian selectors and vowel separator
        | '\u{200b}'..='\u{200f}' // zero-width characters and directional marks
        | '\u{202a}'..='\u{202e}' // bidirectional embeddings and overrides
        | '\u{2060}'..='\u{206f}' // joiners, isolates, deprecated format characters
        | '\u{2800}' // the empty Braille pattern
        | '\u{fe00}'..='\u{fe0f}' // variation selectors
        | '\u{feff}' // byte order mark
        | '\u{fff0}'..='\u{fffb}' // unassigned, interlinear annotations
        | '\u{13430}'..='\u{1345f}' // Egyptian format controls
        | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
        | '\u{1d173}'..='\u{1d17a}' // musical format controls
        | '\u{e0000}'..='\u{e0fff}' // tags and more variation selectors
    )
}

/// Returns true for characters that a terminal acts on or reorders text by: control characters except tab, carriage return
/// and line feed, bidirectional controls, line and paragraph separators.
///
/// ```
/// use tower_audit::export::drives_terminal;
///
/// assert!(drives_terminal('\u{1b}') && drives_terminal('\u{202e}'));
/// // Invisible and harmless: emoji and many scripts need them.
/// assert!(!drives_terminal('\u{200d}') && !drives_terminal('\n'));
/// ```
pub fn drives_terminal(character: char) -> bool {
    match character {
        '\t' | '\r' | '\n' => false,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}
