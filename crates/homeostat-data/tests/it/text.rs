use homeostat_data::{
    Buckets, Rng, SampleKey, TextAugment, TextAugmentStep, TokenBatch, Tokenizer, TokenizerConfig, Tokens, Windows,
    WordShare,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Train {
    augment: TextAugment,
}

fn augment(text: &str) -> TextAugment {
    toml::from_str::<Train>(&format!("augment = {text}")).unwrap().augment
}

fn key(sample: u64) -> SampleKey {
    SampleKey { seed: 1, epoch: 0, sample }
}

const TEXT: &str = "one two three four five six seven eight nine ten";

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

#[test]
fn the_key_determines_the_text() {
    let steps = augment("[{ random-swap = { share = 0.3 } }, { random-deletion = { share = 0.3 } }]");
    steps.check("data.augment").unwrap();
    let once = steps.apply(TEXT, key(3));
    assert_eq!(once, steps.apply(TEXT, key(3)));
    for other in [key(4), SampleKey { seed: 2, ..key(3) }, SampleKey { epoch: 1, ..key(3) }] {
        assert_ne!(once, steps.apply(TEXT, other), "{other:?}");
    }
}

#[test]
fn a_swap_keeps_all_words_and_a_deletion_their_order() {
    let (swap, delete) = (augment("[{ random-swap = {} }]"), augment("[{ random-deletion = { share = 0.4 } }]"));
    let mut lost = 0;
    for sample in 0..200 {
        let swapped = swap.apply(TEXT, key(sample));
        assert_eq!(words(&swapped).iter().zip(words(TEXT)).filter(|(a, b)| **a != *b).count(), 2, "{swapped}");
        let deleted = delete.apply(TEXT, key(sample));
        let mut all = words(TEXT).into_iter();
        assert!(words(&deleted).into_iter().all(|word| all.any(|other| other == word)), "{deleted}");
        lost += 10 - words(&deleted).len();
    }
    assert!((720..880).contains(&lost), "{lost} of 2000, expected 800");
    let all = augment("[{ random-deletion = { share = 1.0 } }]");
    assert_eq!(words(&all.apply(TEXT, key(0))).len(), 1, "a text never vanishes");
    for text in ["", "  ", " lone "] {
        assert_eq!(swap.apply(text, key(0)), text);
    }
}

#[test]
fn the_draws_of_a_step_do_not_depend_on_other_steps() {
    let alone = augment("[{ random-deletion = { share = 0.2 } }]");
    let among = augment(
        "[{ random-swap = { share = 0.0 } }, { token-dropout = { share = 0.5 } }, { random-deletion = { share = 0.2 } }]",
    );
    assert!((0..50).all(|i| alone.apply(TEXT, key(i)) == among.apply(TEXT, key(i))));
}

#[test]
fn token_dropout_hides_its_share_and_no_special_token() {
    let tokenizer = Tokenizer::train(&TokenizerConfig::default(), [TEXT]).unwrap();
    let prepare = homeostat_data::TextPrepare::default();
    let tokens = prepare.apply(&tokenizer, TEXT, None).unwrap();
    let steps = TextAugment(vec![TextAugmentStep::TokenDropout(WordShare { share: 0.25 })]);
    let mask = tokenizer.mask().unwrap();
    assert_eq!(tokenizer.token(mask).unwrap(), "[MASK]");
    let (mut hidden, mut all) = (0, 0);
    for sample in 0..200 {
        let dropped = steps.apply_to_tokens(tokens.clone(), &tokenizer, key(sample));
        assert_eq!(dropped.ids.len(), tokens.ids.len());
        assert_eq!((dropped.ids.first(), dropped.ids.last()), (tokens.ids.first(), tokens.ids.last()));
        assert!(dropped.ids.iter().zip(&tokens.ids).all(|(new, old)| new == old || *new == mask));
        hidden += dropped.ids.iter().filter(|id| **id == mask).count();
        all += tokens.ids.len() - 2;
    }
    let share = hidden as f64 / all as f64;
    assert!((0.22..0.28).contains(&share), "{share}");
    assert_eq!(steps.apply(TEXT, key(0)), TEXT, "words are left alone");
}

#[test]
fn a_share_out_of_range_is_named() {
    let error = augment("[{ random-swap = { share = 1.5 } }]").check("data.augment").unwrap_err().to_string();
    assert_eq!(error, "`data.augment.0.random-swap.share`: 1.5 is not within 0 to 1");
}

#[test]
fn windows_cover_the_text_and_overlap_no_more_than_asked() {
    let mut rng = Rng::keyed(1, [0; 3]);
    for _ in 0..500 {
        let length = rng.range(1..20);
        let (tokens, stride) = (length + rng.range(0..60), rng.range(1..length + 1));
        let windows = Windows::new(tokens, length, stride).unwrap();
        let all: Vec<_> = windows.iter().collect();
        assert_eq!(all.len(), windows.count());
        assert_eq!((all[0].start, all[all.len() - 1].end), (0, tokens));
        assert!(all.iter().all(|window| window.len() == length));
        for pair in all.windows(2) {
            let step = pair[1].start - pair[0].start;
            assert!(step >= 1 && step <= stride, "{all:?}");
        }
        let strided = &all[..all.len() - 1];
        assert!(strided.iter().enumerate().all(|(i, window)| window.start == i * stride));
    }
    for (tokens, length, stride) in [(3, 4, 1), (9, 4, 0), (9, 4, 5), (0, 0, 0)] {
        assert!(Windows::new(tokens, length, stride).is_err(), "{tokens} {length} {stride}");
    }
}

/// Random lengths, most of them short.
fn lengths(rng: &mut Rng, samples: usize) -> Vec<usize> {
    (0..samples)
        .map(|_| {
            let most = rng.range(1..100);
            rng.range(0..most) + 1
        })
        .collect()
}

#[test]
fn bucketing_gives_each_sample_once_and_batches_of_like_length() {
    let mut rng = Rng::keyed(2, [0; 3]);
    for case in 0..100 {
        let (samples, batch) = (rng.range(0..400), rng.range(1..33));
        let buckets = Buckets { lengths: lengths(&mut rng, samples), window: rng.range(1..20) };
        let order = Rng::keyed(case, [7, 0, 0]).permutation(samples);
        let arranged = buckets.arrange(&order, batch, (case, 7));
        assert_eq!(arranged, buckets.arrange(&order, batch, (case, 7)));
        let mut sorted = arranged.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..samples).collect::<Vec<_>>());
        let padding = |order: &[usize]| -> usize {
            let longest = |batch: &[usize]| batch.iter().map(|&i| buckets.lengths[i]).max().unwrap_or(0);
            order.chunks(batch).map(|batch| longest(batch) * batch.len()).sum()
        };
        assert!(padding(&arranged) <= padding(&order), "case {case}");
    }
    let buckets = Buckets { lengths: lengths(&mut rng, 3200), window: 50 };
    let order = rng.permutation(3200);
    let padded = |order: &[usize]| -> usize {
        order.chunks(32).map(|batch| 32 * batch.iter().map(|&i| buckets.lengths[i]).max().unwrap()).sum()
    };
    let needed: usize = buckets.lengths.iter().sum();
    let (plain, bucketed) = (padded(&order), padded(&buckets.arrange(&order, 32, (1, 0))));
    assert!(plain > 2 * needed && bucketed * 100 < needed * 106, "{needed} tokens: {plain}, bucketed {bucketed}");
}

#[test]
fn a_sample_that_comes_again_has_its_own_length() {
    let buckets = Buckets { lengths: vec![5, 1], window: 4 };
    let arranged = buckets.arrange(&[0, 1, 2, 3], 2, (1, 0));
    let lengths: Vec<usize> = arranged.iter().map(|&position| buckets.lengths[position % 2]).collect();
    assert!(lengths == [1, 1, 5, 5] || lengths == [5, 5, 1, 1], "{arranged:?}");
}

/// When a sample comes says nothing about its length: over many epochs, the mean place of short and long ones is the same.
#[test]
fn bucketing_is_fair() {
    let buckets = Buckets { lengths: (0..320).collect(), window: 10 };
    let (mut short, mut neighbours) = (0.0, std::collections::BTreeSet::new());
    let epochs = 200;
    for epoch in 0..epochs {
        let order = Rng::keyed(5, [epoch, 0, 0]).permutation(320);
        let arranged = buckets.arrange(&order, 16, (5, epoch));
        short +=
            arranged.iter().enumerate().filter(|(_, i)| **i < 32).map(|(place, _)| place as f64).sum::<f64>() / 32.0;
        let batch = arranged.chunks(16).find(|batch| batch.contains(&100)).unwrap();
        neighbours.extend(batch.iter().copied());
    }
    let mean = short / epochs as f64;
    assert!((145.0..175.0).contains(&mean), "mean place {mean}, expected 159.5");
    assert!(neighbours.len() > 40, "always the same {} neighbours", neighbours.len());
}

#[test]
fn a_batch_is_filled_up_to_its_longest_text() {
    let text = |ids: std::ops::Range<u32>| Tokens { types: vec![1; ids.len()], ids: ids.collect(), is_cut: false };
    let texts = [text(1..4), text(5..10), text(3..3)];
    let batch = TokenBatch::new(&texts, 99, 1);
    assert_eq!((batch.texts(), batch.length()), (3, 5));
    assert_eq!(batch.ids, [1, 2, 3, 99, 99, 5, 6, 7, 8, 9, 99, 99, 99, 99, 99]);
    assert_eq!(batch.types, [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(batch.lengths, [3, 5, 0]);
    assert_eq!(batch.is_padding.iter().filter(|padding| **padding).count(), 7);
    assert_eq!(TokenBatch::new(&texts, 0, 8).length(), 8);
}
