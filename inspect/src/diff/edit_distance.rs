//! Edit distance of two sequences: `(old, new) -> (elements to remove, elements to add)`.
//!
//! *Problem.* Turn `old` into `new` by removing and adding as few elements as possible.
//!
//! *Notation.* Point (x, y) is reached if the first x elements of `old` are turned into the first y of `new`. Diagonal
//! k has the points with x - y = k. Equal elements advance along a diagonal at no cost; an edit moves to a neighbouring
//! diagonal.
//!
//! *Algorithm.* (1) Strip the common prefix and suffix. (2) For d = 0, 1, …: compute the furthest point on each
//! diagonal that d edits reach, from the furthest points of d - 1 edits. Stop when it is the end of both sequences.
//!
//! *Cost.* O((n + m) d). After `EDITS_MAX` edits, the whole rest counts as removed and added: an upper bound.
//!
//! *Reference.* E. W. Myers (1986), An O(ND) difference algorithm and its variations.

/// The numbers of elements to remove from `old`, and to add, to get `new`.
pub(super) fn edits(old: &[u64], new: &[u64]) -> (usize, usize) {
    /// Limit of the search: its time grows with the square of the number of edits.
    const EDITS_MAX: usize = 4096;
    let prefix = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[prefix..], &new[prefix..]);
    let suffix = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    let limit = (old.len() + new.len()).min(EDITS_MAX);
    // Furthest x on diagonal k, at index k + limit + 1.
    let mut furthest = vec![0_usize; 2 * limit + 3];
    for count in 0..=limit {
        for diagonal in (0..=2 * count).step_by(2).map(|step| limit + 1 + step - count) {
            let is_down = diagonal + count == limit + 1
                || diagonal != limit + 1 + count && furthest[diagonal - 1] < furthest[diagonal + 1];
            let mut x = if is_down { furthest[diagonal + 1] } else { furthest[diagonal - 1] + 1 };
            let Some(mut y) = (x + limit + 1).checked_sub(diagonal) else { continue };
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[diagonal] = x;
            if x >= old.len() && y >= new.len() {
                let removed = (count + old.len() - new.len()) / 2;
                return (removed, count - removed);
            }
        }
    }
    (old.len(), new.len())
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn edits_are_the_fewest() {
        assert_eq!(edits(&[], &[]), (0, 0));
        assert_eq!(edits(&[1, 2, 3], &[1, 2, 3]), (0, 0));
        assert_eq!(edits(&[1, 2, 3], &[1, 9, 3]), (1, 1));
        assert_eq!(edits(&[1, 2, 3], &[]), (3, 0));
        assert_eq!(edits(&[], &[1, 2, 3]), (0, 3));
        assert_eq!(edits(&[1, 2, 3, 4], &[2, 3, 4, 5, 6]), (1, 2));
        assert_eq!(edits(&[1, 2, 3, 1, 2, 2, 1], &[3, 2, 1, 2, 1, 3]), (3, 2));
    }

    /// Compares with the quadratic definition, over sequences of a small alphabet.
    #[test]
    fn edits_agree_with_the_longest_common_subsequence() {
        let mut state = 7_u64;
        let mut sequence = |length: usize| -> Vec<u64> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 62
            };
            (0..length).map(|_| next()).collect()
        };
        for round in 0..200 {
            let (old, new) = (sequence(round % 13), sequence(round % 11));
            let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
            for i in 0..old.len() {
                for j in 0..new.len() {
                    common[i + 1][j + 1] = if old[i] == new[j] {
                        common[i][j] + 1
                    } else {
                        common[i][j + 1].max(common[i + 1][j])
                    };
                }
            }
            let common = common[old.len()][new.len()];
            assert_eq!(edits(&old, &new), (old.len() - common, new.len() - common), "{old:?} {new:?}");
        }
    }
}
