//! The console blocks of a page of documentation, followed from top to bottom in a world as a reader would.
//!
//! In a block, `# ` begins a command of root and `$ ` one of the user ferris. A line below that begins with a known
//! prompt is answered, with what stands behind it or else with what the prompt asks for; every other line must
//! appear in what the command shows, in this order, `...` standing for anything. A word of six digits stands for the
//! next code of whoever is asked, but for 000000, which is wrong. After ` ```console ` may stand `no-run`, or `status=N`
//! for the block's last command.

mod in_guest;
mod reader;
mod shell;

use std::fs;

use crate::{Host, Token, workspace};

use reader::Reader;
pub use shell::shell_guide;

/// A page with console blocks.
#[derive(Debug)]
pub struct Guide {
    page: String,
    blocks: Vec<Block>,
    tokens: Vec<(String, Token)>,
}

#[derive(Debug)]
struct Block {
    line: usize,
    runs: bool,
    status: i32,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    by_root: bool,
    command: String,
    shows: Vec<String>,
}

impl Guide {
    /// Reads a page of the repository.
    ///
    /// # Panics
    /// Where it has a block that is no console block.
    #[must_use]
    pub fn read(page: &str) -> Self {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        let blocks = blocks(&text);
        assert_eq!(
            text.matches("\n```").count(),
            2 * blocks.len(),
            "{page}: every block is one of a console"
        );
        Self { page: page.to_owned(), blocks, tokens: Vec::new() }
    }

    /// A device that `user` has from before.
    #[must_use]
    pub fn with_token(mut self, user: &str, token: Token) -> Self {
        self.tokens.push((user.to_owned(), token));
        self
    }

    /// How many blocks are run.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.blocks.iter().filter(|block| block.runs).count()
    }

    /// How many are not.
    #[must_use]
    pub fn leaves_out(&self) -> usize {
        self.blocks.len() - self.runs()
    }

    /// Does all that it says.
    ///
    /// # Panics
    /// Where something shows what the page does not say.
    pub fn follow(self, host: &Host) {
        let mut reader = Reader::at(host, self.tokens);
        for block in self.blocks.iter().filter(|block| block.runs) {
            for (number, step) in block.steps.iter().enumerate() {
                let last = number + 1 == block.steps.len();
                let here = format!("{}, block of line {}, `{}`", self.page, block.line, step.command);
                reader.follow(step, if last { block.status } else { 0 }, &here);
            }
        }
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(info) if !inside && info.starts_with("console") => {
                inside = true;
                let status = info.split("status=").nth(1).map_or(0, |number| number.trim().parse().unwrap());
                let runs = !info.contains("no-run");
                blocks.push(Block { line: index + 1, runs, status, steps: Vec::new() });
            }
            Some(_) => inside = false,
            None if inside => {
                let steps = &mut blocks.last_mut().unwrap().steps;
                match line.strip_prefix("# ").or(line.strip_prefix("$ ")) {
                    Some(command) => {
                        let (by_root, command) = (line.starts_with('#'), command.to_owned());
                        steps.push(Step { by_root, command, shows: Vec::new() });
                    }
                    None => steps.last_mut().unwrap().shows.push(line.to_owned()),
                }
            }
            None => {}
        }
    }
    blocks
}

// Each line must appear, in this order, `...` standing for anything.
fn compare<'p>(lines: impl Iterator<Item = &'p str>, shown: &str, here: &str) {
    let shown = words(shown);
    let mut rest = shown.as_str();
    for part in lines.flat_map(|line| line.split("...")).map(words) {
        let at = rest.find(&part).unwrap_or_else(|| panic!("{here}: no {part:?} in\n{shown}"));
        rest = &rest[at + part.len()..];
    }
}

// One blank between words: columns and line ends are not what a page promises.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
