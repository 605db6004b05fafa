//! The table and the file of results.

use oss2fa_tests::workspace;
use serde::Serialize;

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Only told, for the reader to judge the others by.
    None,
}

/// A figure, and the rounds that it is the median of where they are worth a look: all of them, also those that did
/// not count.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) rounds: Vec<f64>,
}

impl From<f64> for Measured {
    fn from(value: f64) -> Self {
        Self { value, rounds: Vec::new() }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rounds: Vec<f64>,
    unit: &'static str,
    bound: Option<String>,
    holds: bool,
}

/// All figures of one run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        measured: impl Into<Measured>,
        unit: &'static str,
        bound: Bound,
    ) {
        let Measured { value, rounds } = measured.into();
        let (bound, holds) = match bound {
            Bound::AtMost(most) => (Some(format!("at most {most}")), value <= most),
            Bound::AtLeast(least) => (Some(format!("at least {least}")), value >= least),
            Bound::None => (None, true),
        };
        let name = name.into();
        eprintln!("  {name}: {value:.2} {unit}");
        self.0.push(Row { name, value, rounds, unit, bound, holds });
    }

    pub(crate) fn holds(&self) -> bool {
        self.0.iter().all(|row| row.holds)
    }

    pub(crate) fn print(&self) {
        println!("{:<62} {:>10}  {:<8} {:<14} holds", "figure", "value", "unit", "bound");
        for Row { name, value, unit, bound, holds, .. } in &self.0 {
            let bound = bound.as_deref().unwrap_or("-");
            let holds = match (bound, holds) {
                ("-", _) => "",
                (_, true) => "yes",
                (_, false) => "NO",
            };
            println!("{name:<62} {value:>10.2}  {unit:<8} {bound:<14} {holds}");
        }
    }

    pub(crate) fn write(&self) {
        let folder = workspace().join("target/bench");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("results.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&self.0).unwrap()).unwrap();
        println!("written to target/bench/results.json");
    }
}
