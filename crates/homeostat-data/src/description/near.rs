//! Finding what is alike without comparing each with all. It does not know what is compared.

/// The items that are alike, directly or through others, as groups of at least two, in the order of their first members.
///
/// Each item has some keys; those that share a key at the same place are looked at by `alike`. Where more than `WINDOW` items share
/// a key, each is compared with its next neighbours alone, so that a million of the same key cost no
/// more than a million times that.
pub(super) fn groups(
    items: usize,
    keys: &dyn Fn(usize, usize) -> u64,
    places: usize,
    alike: &dyn Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    const WINDOW: usize = 128;
    let mut parents: Vec<usize> = (0..items).collect();
    for place in 0..places {
        let mut order: Vec<(u64, usize)> = (0..items).map(|item| (keys(item, place), item)).collect();
        order.sort_unstable();
        for (at, &(key, item)) in order.iter().enumerate() {
            for &(other_key, other) in order[at + 1..].iter().take(WINDOW) {
                if other_key != key {
                    break;
                }
                let (a, b) = (root(&mut parents, item), root(&mut parents, other));
                if a != b && alike(item, other) {
                    parents[a.max(b)] = a.min(b);
                }
            }
        }
    }
    let mut members: Vec<(usize, usize)> = (0..items).map(|item| (root(&mut parents, item), item)).collect();
    members.sort_unstable();
    let same = members.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    same.map(|group| group.iter().map(|&(_, item)| item).collect()).collect()
}

/// The smallest member that is known of the item's group.
fn root(parents: &mut [usize], mut item: usize) -> usize {
    while parents[item] != item {
        parents[item] = parents[parents[item]];
        item = parents[item];
    }
    item
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn what_is_alike_through_another_is_one_group() {
        let values = [10_u64, 50, 11, 90, 12, 51];
        let near = |a: usize, b: usize| values[a].abs_diff(values[b]) <= 1;
        assert_eq!(groups(6, &|item, _| values[item] / 20, 1, &near), [vec![0, 2, 4], vec![1, 5]]);
        assert_eq!(groups(6, &|item, _| item as u64, 1, &near), Vec::<Vec<usize>>::new(), "no key is shared");
    }

    #[test]
    fn one_key_for_all_is_no_square() {
        let asked = std::cell::Cell::new(0_usize);
        let count = |_, _| {
            asked.set(asked.get() + 1);
            false
        };
        assert!(groups(100_000, &|_, _| 0, 1, &count).is_empty());
        assert!(asked.get() < 13_000_000, "{}", asked.get());
    }
}
