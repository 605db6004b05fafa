//! Text that is shown on somebody's terminal.

use oss2fa_core::wire::DisplayText;

/// Nothing is left that a terminal would obey, nothing else is changed, and cleaning twice is cleaning
/// once.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let clean = DisplayText::new(&text);
    assert_eq!(clean.as_str().chars().count(), text.chars().count());
    for (shown, given) in clean.as_str().chars().zip(text.chars()) {
        assert!(shown == '\n' || !shown.is_control(), "a control character is left");
        assert!(!"\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(shown), "it breaks or turns the line");
        assert!(!('\u{202a}'..='\u{202e}').contains(&shown), "it turns the line");
        assert!(!('\u{2066}'..='\u{2069}').contains(&shown), "it turns the line");
        assert!(shown == given || shown == '\u{fffd}', "a character became another one");
        assert!(
            !(given.is_ascii_graphic() || given == ' ' || given == '\n') || shown == given,
            "plain text was changed"
        );
    }
    assert_eq!(DisplayText::new(clean.as_str()), clean);
}
