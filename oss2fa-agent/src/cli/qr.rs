//! A QR code in the terminal: two modules a character, with the quiet zone that readers need.

use qrcode::{Color, EcLevel, QrCode};

/// Width of the light frame, in modules (ISO/IEC 18004 section 6.3.8 asks for four).
const QUIET_ZONE: usize = 4;

// Entries of the 256-colour table that no theme changes: pure black on pure white.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// How the modules are painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Black on white by escape sequences: right whatever the colours of the terminal.
    Colours,
    /// Characters alone, for light text on a dark ground: the light modules are what is drawn.
    Characters,
}

/// The picture of `text`, with a line break after each line; `None` where it does not fit into a
/// QR code (2,953 bytes).
pub(crate) fn picture(text: &str, paint: Paint) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let side = width + 2 * QUIET_ZONE;
    let is_dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET_ZONE), y.checked_sub(QUIET_ZONE)) else {
            return false;
        };
        x < width && modules.get(y * width + x) == Some(&Color::Dark)
    };
    // With an odd number of rows the last character's lower half is beyond the frame. In colours it
    // is as light as the frame; in characters it stays unpainted.
    let inked = |x: usize, y: usize| match paint {
        Paint::Colours => is_dark(x, y),
        Paint::Characters => y < side && !is_dark(x, y),
    };
    let mut picture = String::new();
    for y in (0..side).step_by(2) {
        if paint == Paint::Colours {
            picture.push_str(BLACK_ON_WHITE);
        }
        picture.extend((0..side).map(|x| match (inked(x, y), inked(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }));
        if paint == Paint::Colours {
            picture.push_str(RESET);
        }
        picture.push('\n');
    }
    Some(picture)
}
