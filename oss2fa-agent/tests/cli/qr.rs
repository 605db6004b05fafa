//! The QR code of `enroll`, as an independent reader sees it on terminals of different colours.

use std::process::Command;

use crate::scripted::{Host, Ran};
use serde_json::{Value, json};

const BLACK: u8 = 0;
const WHITE: u8 = 255;

/// Pixels of one module's side in the picture that the reader gets.
const SCALE: usize = 4;

/// A terminal with these colours that obeys what `enroll` sends: half blocks and the escape
/// sequences for colours.
struct Screen {
    ink: u8,
    ground: u8,
}

impl Screen {
    /// Rows of grey values, two rows a line.
    fn show(&self, text: &str) -> Vec<Vec<u8>> {
        let (mut ink, mut ground) = (self.ink, self.ground);
        let mut rows = Vec::new();
        for line in text.lines() {
            let (mut upper, mut lower) = (Vec::new(), Vec::new());
            let mut rest = line.chars();
            while let Some(character) = rest.next() {
                let (above, below) = match character {
                    '\x1b' => {
                        let sequence: String = rest.by_ref().take_while(|c| *c != 'm').collect();
                        (ink, ground) = match sequence.as_str() {
                            "[38;5;16;48;5;231m" | "[38;5;16;48;5;231" => (BLACK, WHITE),
                            "[0" => (self.ink, self.ground),
                            other => panic!("an unknown sequence {other:?}"),
                        };
                        continue;
                    }
                    '█' => (ink, ink),
                    '▀' => (ink, ground),
                    '▄' => (ground, ink),
                    _ => (ground, ground),
                };
                upper.push(above);
                lower.push(below);
            }
            rows.extend([upper, lower]);
        }
        rows
    }
}

/// The picture alone, without the words around it.
fn picture(ran: &Ran) -> String {
    let lines = ran.stdout.lines().skip(2).take_while(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// What zbarimg reads: with this ground around the picture, as the rest of the screen.
fn read(rows: &[Vec<u8>], around: u8) -> String {
    let width = rows.iter().map(Vec::len).max().unwrap();
    let margin = 8;
    let side = (width + 2 * margin) * SCALE;
    let mut pixels = vec![around; side * (rows.len() + 2 * margin) * SCALE];
    for (y, row) in rows.iter().enumerate() {
        for (x, pixel) in row.iter().enumerate() {
            for dy in 0..SCALE {
                let start = ((y + margin) * SCALE + dy) * side + (x + margin) * SCALE;
                pixels[start..start + SCALE].fill(*pixel);
            }
        }
    }
    let file = tempfile::Builder::new().suffix(".pgm").tempfile().unwrap();
    let mut image = format!("P5\n{side} {}\n255\n", pixels.len() / side).into_bytes();
    image.extend(pixels);
    std::fs::write(file.path(), image).unwrap();
    // Neither QR codes in negative, which not every app reads, nor other kinds of bar codes.
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Stest-inverted=0", "-Sdisable", "-Sqrcode.enable"])
        .arg(file.path())
        .output()
        .expect("zbarimg (Debian package zbar-tools)");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn enrolled(uri: &str) -> Value {
    json!({"enrolled": {"device": 7, "kind": "totp", "status": "pending", "provisioning_uri": uri}})
}

fn request() -> Value {
    json!({"enroll": {"user": "ferris", "kind": "totp", "name": null, "proof": null,
        "parameters": {"algorithm": "sha1", "digits": 6, "period": 30}}})
}

const SHORT: &str = "otpauth://totp/host:ferris?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=host\
                     &algorithm=SHA1&digits=6&period=30";
// SHA-512, the longest account: a QR code of another size.
const LONG: &str = "otpauth://totp/gate.example.org:a.very.long.account.name.indeed%2Badmin@example.org\
                    ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                    GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA&issuer=gate.example.org&algorithm=SHA512&digits=8&period=60";

#[test]
fn in_colours_it_is_read_on_any_terminal() {
    for uri in [SHORT, LONG] {
        let ran = Host::with_daemon([(request(), enrolled(uri))])
            .on_a_terminal()
            .run(&["enroll", "totp", "--user", "ferris"]);
        let picture = picture(&ran);
        for (ink, ground) in [(WHITE, BLACK), (BLACK, WHITE), (150, 120)] {
            let rows = Screen { ink, ground }.show(&picture);
            assert_eq!(read(&rows, ground), uri, "with ink {ink} on {ground}:\n{ran}");
        }
    }
}

#[test]
fn in_characters_it_is_read_on_a_dark_ground() {
    for uri in [SHORT, LONG] {
        let ran =
            Host::with_daemon([(request(), enrolled(uri))]).run(&["enroll", "totp", "--user", "ferris"]);
        assert!(!ran.stdout.contains('\x1b'), "a pipe gets no escape sequences: {ran}");
        let rows = Screen { ink: WHITE, ground: BLACK }.show(&picture(&ran));
        assert_eq!(read(&rows, BLACK), uri, "{ran}");
    }
}

#[test]
fn the_frame_is_four_modules_wide_on_each_side() {
    let ran = Host::with_daemon([(request(), enrolled(SHORT))])
        .on_a_terminal()
        .run(&["enroll", "totp", "--user", "ferris"]);
    let rows = Screen { ink: WHITE, ground: BLACK }.show(&picture(&ran));
    let dark = |row: &Vec<u8>| row.contains(&BLACK);
    assert_eq!(rows.iter().position(dark), Some(4));
    assert!(rows.iter().rev().position(dark).unwrap() >= 4);
    for row in &rows {
        assert!(row[..4].iter().chain(&row[row.len() - 4..]).all(|pixel| *pixel == WHITE));
    }
}

#[test]
fn it_fits_on_a_small_screen() {
    let ran = Host::with_daemon([(request(), enrolled(SHORT))]).run(&["enroll", "totp", "--user", "ferris"]);
    let picture = picture(&ran);
    assert!(picture.lines().count() <= 24, "{ran}");
    assert!(picture.lines().all(|line| line.chars().count() <= 80), "{ran}");
}

#[test]
fn the_picture_as_people_see_it() {
    let ran = Host::with_daemon([(request(), enrolled(SHORT))]).run(&["enroll", "totp", "--user", "ferris"]);
    insta::assert_snapshot!(ran);
}
