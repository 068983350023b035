//! The search for a number's verdict: balanced trees of comparisons, packed so that jumps stay within a byte.

use super::compile::{JUMP, JUMP_IF_AT_LEAST, by_arguments, jump, ret};
use super::rules::Verdict;
use crate::sys::seccomp::Instruction;

/// Longest block in which every jump reaches every place: a jump skips at most 255 instructions.
const LONGEST_BLOCK: usize = 255;

/// From `first` up to the next range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u32,
    pub verdict: Verdict,
}

/// A balanced tree over `ranges`, which are in order; the number stands in the accumulator.
pub(super) fn tree(ranges: &[Range], default: u32) -> Vec<Instruction> {
    if let Some(block) = block(ranges, default) {
        return block;
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let pivot = high[0].first;
    let (low, high) = (tree(low, default), tree(high, default));
    let mut code = Vec::with_capacity(low.len() + high.len() + 2);
    match u8::try_from(low.len()) {
        Ok(distance) => code.push(jump(JUMP_IF_AT_LEAST, pivot, distance, 0)),
        Err(_) => {
            code.push(jump(JUMP_IF_AT_LEAST, pivot, 0, 1));
            code.push(Instruction { operation: JUMP, if_true: 0, if_false: 0, value: low.len() as u32 });
        }
    }
    code.extend(low);
    code.extend(high);
    code
}

/// A part of a block.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Done(Instruction),
    Branch { pivot: u32, low: Place, high: Place },
}

/// Where a subtree begins.
#[derive(Debug, Clone, Copy)]
enum Place {
    Slot(usize),
    /// The block's one return of this action.
    Return(u32),
}

/// A whole subtree whose leaves share one return for each action, at its end; `None` when it would be too long.
fn block(ranges: &[Range], default: u32) -> Option<Vec<Instruction>> {
    // A single verdict may be of any length: it has no jumps of ours.
    if let [Range { verdict: Verdict::ByArguments(clauses), .. }] = ranges {
        return Some(by_arguments(clauses, default));
    }
    let mut slots = Vec::new();
    let root = lay(ranges, default, &mut slots)?;
    let mut returns: Vec<u32> = Vec::new();
    let places = slots.iter().flat_map(|slot| match slot {
        Slot::Branch { low, high, .. } => vec![*low, *high],
        Slot::Done(_) => Vec::new(),
    });
    for place in places.chain([root]) {
        if let Place::Return(action) = place
            && !returns.contains(&action)
        {
            returns.push(action);
        }
    }
    if slots.len() + returns.len() > LONGEST_BLOCK {
        return None;
    }
    let position = |place| match place {
        Place::Slot(at) => Some(at),
        Place::Return(action) => Some(slots.len() + returns.iter().position(|one| *one == action)?),
    };
    let mut code = Vec::with_capacity(slots.len() + returns.len());
    for (at, slot) in slots.iter().enumerate() {
        code.push(match slot {
            Slot::Done(instruction) => *instruction,
            Slot::Branch { pivot, low, high } => {
                // Everything a branch leads to lies behind it.
                let distance = |place| u8::try_from(position(place)? - at - 1).ok();
                jump(JUMP_IF_AT_LEAST, *pivot, distance(*high)?, distance(*low)?)
            }
        });
    }
    code.extend(returns.into_iter().map(ret));
    Some(code)
}

/// Lays a subtree down behind what is there; `None` as soon as it is too long.
fn lay(ranges: &[Range], default: u32, slots: &mut Vec<Slot>) -> Option<Place> {
    let at = slots.len();
    if at > LONGEST_BLOCK {
        return None;
    }
    if let [only] = ranges {
        return Some(match &only.verdict {
            Verdict::Always(action) => Place::Return(*action),
            Verdict::ByArguments(clauses) => {
                slots.extend(by_arguments(clauses, default).into_iter().map(Slot::Done));
                Place::Slot(at)
            }
        });
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let pivot = above[0].first;
    slots.push(Slot::Branch { pivot, low: Place::Return(default), high: Place::Return(default) });
    let low = lay(below, default, slots)?;
    let high = lay(above, default, slots)?;
    slots[at] = Slot::Branch { pivot, low, high };
    Some(Place::Slot(at))
}
