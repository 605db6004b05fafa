//! A walk along a chain, as `_pam_dispatch_aux` of Linux-PAM goes (1.5.2 and 1.7.2 alike), over
//! every answer that the modules may give.

use std::collections::{HashMap, VecDeque};

use super::control::{Action, Code};
use super::module::{Answer, Factor, Modules, Who};
use super::stack::{Kind, Link, Phase};

/// More states than any stack of a host has; past it nothing is claimed.
const MOST_STATES: usize = 200_000;

/// libpam's impression and status in one. Of the statuses only success counts: another one stays until
/// a `reset`, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Standing {
    /// No impression yet. A chain that ends so is refused, as it would be a mistake.
    Undecided,
    /// A positive impression, and success.
    Good,
    /// A positive impression, with a code that is none: it can only get worse.
    Spoiled,
    /// A negative impression.
    Bad,
}

/// What libpam knows in the middle of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    at: usize,
    /// The substack level of the link before.
    before: usize,
    standing: Standing,
    /// The standing at the beginning of each substack that it is in; `reset` goes back there.
    saved: Vec<Standing>,
    factor: Factor,
}

/// A link that was called, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) link: usize,
    pub(super) code: Code,
    pub(super) action: Action,
    /// Where the walk went on.
    pub(super) next: usize,
}

/// The whole of one chain.
pub(super) struct Walk<'c> {
    links: &'c [Link],
    modules: &'c Modules<'c>,
    phase: Phase,
}

/// There are too many ways through a chain to look at them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyWays;

impl State {
    fn first() -> Self {
        let standing = Standing::Undecided;
        Self { at: 0, before: 0, standing, saved: vec![standing], factor: Factor::Unasked }
    }
}

impl<'c> Walk<'c> {
    pub(super) fn new(links: &'c [Link], modules: &'c Modules<'c>, phase: Phase) -> Self {
        Self { links, modules, phase }
    }

    /// The shortest way to `PAM_SUCCESS`; a stranger's, past the second factor.
    pub(super) fn way(&self, who: Who) -> Result<Option<Vec<Step>>, TooManyWays> {
        let first = State::first();
        let mut came_from: HashMap<State, Option<(State, Option<Step>)>> = HashMap::new();
        let mut waiting = VecDeque::from([first.clone()]);
        came_from.insert(first, None);
        while let Some(state) = waiting.pop_front() {
            if state.at >= self.links.len() {
                if state.standing == Standing::Good && (who == Who::Owner || state.factor == Factor::Unasked)
                {
                    return Ok(Some(steps(&came_from, &state)));
                }
                continue;
            }
            for (next, step) in self.next(&state, who) {
                if came_from.len() > MOST_STATES {
                    return Err(TooManyWays);
                }
                if !came_from.contains_key(&next) {
                    came_from.insert(next.clone(), Some((state.clone(), step)));
                    waiting.push_back(next);
                }
            }
        }
        Ok(None)
    }

    fn next(&self, state: &State, who: Who) -> Vec<(State, Option<Step>)> {
        let Some(link) = self.links.get(state.at) else { return Vec::new() };
        let mut entered = state.clone();
        entered.before = link.level;
        if state.before < link.level {
            entered.saved.resize(link.level + 1, state.standing);
            entered.saved.iter_mut().skip(link.level).for_each(|saved| *saved = state.standing);
        } else {
            entered.saved.truncate(link.level + 1);
        }
        if link.kind == Kind::Substack {
            entered.at += 1;
            return vec![(entered, None)];
        }
        let answers = self.modules.answers(link, self.phase, who);
        answers.into_iter().map(|answer| self.after(&entered, link, answer)).collect()
    }

    fn after(&self, state: &State, link: &Link, answer: Answer) -> (State, Option<Step>) {
        let mut next = state.clone();
        if answer.factor == Factor::Settled {
            next.factor = Factor::Settled;
        }
        let code = answer.code;
        let action = link.control.action(code);
        let mut last = state.at;
        match action {
            Action::Ignore => {}
            Action::Ok | Action::Done => {
                next.standing = match (next.standing, code == Code::SUCCESS) {
                    (Standing::Undecided | Standing::Good, true) => Standing::Good,
                    (Standing::Undecided | Standing::Good, false) => Standing::Spoiled,
                    (other, _) => other,
                };
                if action == Action::Done && next.standing != Standing::Bad {
                    last = self.end_of_level(state.at, link.level);
                }
            }
            Action::Bad => next.standing = Standing::Bad,
            Action::Die => {
                next.standing = Standing::Bad;
                last = self.end_of_level(state.at, link.level);
            }
            Action::Reset => next.standing = next.saved.get(link.level).copied().unwrap_or(Standing::Bad),
            Action::Jump(lines) => match self.jump(state.at, link.level, lines) {
                Ok(at) => last = at,
                Err(at) => {
                    // Past the end of the stack: libpam refuses whatever came before.
                    last = at;
                    next.standing = Standing::Bad;
                }
            },
        }
        next.at = last + 1;
        let step = Step { link: state.at, code, action, next: next.at };
        (next, Some(step))
    }

    fn level_of(&self, at: usize) -> Option<usize> {
        self.links.get(at).map(|link| link.level)
    }

    /// The last link that a decision at `at` leaves out.
    fn end_of_level(&self, at: usize, level: usize) -> usize {
        let mut last = at;
        while self.level_of(last + 1).is_some_and(|next| next >= level) {
            last += 1;
        }
        last
    }

    /// The last link that a jump leaves out; a substack counts as one. `Err` where there are not as many.
    fn jump(&self, at: usize, level: usize, lines: usize) -> Result<usize, usize> {
        let mut last = at;
        for _line in 0..lines {
            if self.level_of(last + 1).is_none_or(|next| next < level) {
                return Err(last);
            }
            last += 1;
            while self.level_of(last + 1).is_some_and(|next| next > level) {
                last += 1;
            }
        }
        Ok(last)
    }
}

fn steps(came_from: &HashMap<State, Option<(State, Option<Step>)>>, end: &State) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut state = end;
    while let Some(Some((before, step))) = came_from.get(state) {
        steps.extend(*step);
        state = before;
    }
    steps.reverse();
    steps
}
