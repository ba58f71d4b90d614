//! The operations of sequences against Burn's own: values, gradients, masks, strides, NaN and infinity, threads.

use burn::tensor::{Bool, DType, Int, Tensor, TensorData};
use homeostat_kernels::{
    Curve, Kernels, Sight, at_most, attention, class_entropy, cross_entropy, dense, dropout, embedding, layer_norm,
    self_attention, sigmoid, tanh,
};

use crate::{assert_close, device, floats, random};

/// The value of `f`, and the gradients of its randomly weighted sum, with our kernels and with Burn's.
fn both<const D: usize, const E: usize, const N: usize>(
    inputs: &[Tensor<D>; N],
    what: &str,
    f: impl Fn(&[Tensor<D>; N], Kernels) -> Tensor<E>,
) {
    let upstream = random(f(inputs, Kernels::Burn).dims());
    let run = |kernels| {
        let inputs = inputs.each_ref().map(|input| input.clone().require_grad());
        let y = f(&inputs, kernels);
        let gradients = (y.clone() * upstream.clone()).sum().backward();
        let found = inputs.map(|input| input.grad(&gradients).map(|gradient| floats(&gradient)).unwrap_or_default());
        (y, found)
    };
    let ((ours, gradients), (reference, expected)) = (run(Kernels::Own), run(Kernels::Burn));
    assert_eq!(ours.dims(), reference.dims(), "{what}");
    assert_close(&floats(&ours), &floats(&reference), what);
    for (index, (gradient, expected)) in gradients.iter().zip(&expected).enumerate() {
        assert_close(gradient, expected, &format!("gradient {index}, {what}"));
    }
}

fn one_row(x: &Tensor<2>) -> Tensor<1> {
    x.clone().slice([0..1, 0..x.dims()[1]]).squeeze_dim(0)
}

const CURVES: [Curve; 3] = [Curve::Straight, Curve::Gelu, Curve::GeluTanh];

#[test]
fn dense_is_that_of_burn() {
    for [rows, inputs, outputs] in [[1, 1, 1], [3, 5, 7], [13, 70, 33], [100, 300, 40], [40, 30, 150], [7, 520, 3]] {
        for curve in CURVES {
            let tensors = [random([rows, inputs]), random([inputs, outputs]) * 0.2, random([1, outputs])];
            both(&tensors, &format!("{rows} x {inputs} x {outputs}, {curve:?}"), |[x, w, b], kernels| {
                dense(x.clone(), w.clone(), Some(one_row(b)), curve, kernels)
            });
        }
    }
    let tensors = [random([2, 9, 6]), random([2, 6, 4])];
    both(&tensors, "three axes, no bias, otherwise in memory", |[x, w], kernels| {
        let w = w.clone().narrow(0, 1, 1).squeeze_dim::<2>(0).transpose();
        dense(x.clone().swap_dims(1, 2).narrow(2, 1, 4), w, None, Curve::Gelu, kernels)
    });
}

#[test]
fn layer_norm_is_that_of_burn() {
    for [rows, width] in [[1, 1], [2, 3], [5, 16], [33, 40], [70, 257]] {
        let tensors = [random([rows, width]) * 3.0 + 1.0, random([1, width]), random([1, width])];
        both(&tensors, &format!("{rows} x {width}"), |[x, scale, shift], kernels| {
            layer_norm(x.clone(), one_row(scale), Some(one_row(shift)), 1e-5, kernels)
        });
    }
    let tensors = [random([3, 5, 4]), random([1, 1, 5])];
    both(&tensors, "turned, without shift", |[x, scale], kernels| {
        layer_norm(x.clone().swap_dims(1, 2), scale.clone().reshape([5]), None, 1e-3, kernels)
    });
}

fn ids(values: &[i32], shape: [usize; 2]) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device())
}

#[test]
fn embedding_is_that_of_burn() {
    for (count, width) in [(1, 1), (5, 3), (700, 17)] {
        let ids = ids(&[0, 4, 2, 2, 4, 0].map(|id| id % count), [2, 3]);
        both(&[random([count as usize, width])], &format!("{count} x {width}"), |[table], kernels| {
            embedding(table.clone(), ids.clone(), kernels)
        });
    }
    let turned = ids(&[3, 1, 0, 2, 650, 299], [3, 2]).transpose();
    both(&[random([8, 700]).transpose()], "turned", |[table], kernels| {
        embedding(table.clone().transpose().transpose(), turned.clone(), kernels)
    });
}

#[test]
#[should_panic(expected = "embedding: 5 is none of 5")]
fn an_unknown_id_is_refused() {
    _ = embedding(random([5, 2]), ids(&[5], [1, 1]), Kernels::Own);
}

/// Batch, heads, queries, keys, width of a head.
const ATTENTIONS: [[usize; 5]; 6] =
    [[1, 1, 1, 1, 1], [2, 3, 5, 5, 4], [1, 2, 7, 13, 9], [2, 1, 13, 7, 16], [1, 2, 130, 130, 8], [1, 1, 150, 300, 66]];

fn hidden(shape: [usize; 4]) -> Tensor<4, Bool> {
    random(shape).greater_elem(0.3)
}

fn sights([batch, heads, queries, keys, _]: [usize; 5]) -> Vec<Sight> {
    vec![
        Sight::default(),
        Sight { causal: true, ..Sight::default() },
        Sight { mask: Some(hidden([batch, 1, 1, keys])), causal: false },
        Sight { mask: Some(hidden([batch, heads, queries, keys])), causal: true },
        Sight { mask: Some(hidden([1, 1, keys, queries]).swap_dims(2, 3)), causal: false },
        Sight { mask: Some(Tensor::full([1; 4], true, &device())), causal: false },
    ]
}

#[test]
fn attention_is_that_of_burn() {
    for shape in ATTENTIONS {
        let [batch, heads, queries, keys, width] = shape;
        for sight in sights(shape) {
            let what = format!("{shape:?}, causal {}, mask {}", sight.causal, sight.mask.is_some());
            let tensors = [queries, keys, keys].map(|length| random([batch, heads, length, width]));
            both(&tensors, &what, |[query, key, value], kernels| {
                attention(query.clone(), key.clone(), value.clone(), sight.clone(), kernels)
            });
            // As a layer has it: heads cut from rows, and rows made of heads.
            let tensors = [queries, keys, keys].map(|length| random([batch, length, heads * width]));
            both(&tensors, &format!("{what}, as rows"), |tensors, kernels| {
                let [query, key, value] = tensors
                    .each_ref()
                    .map(|x| x.clone().reshape([0, 0, heads.cast_signed(), width.cast_signed()]).swap_dims(1, 2));
                let y = attention(query, key, value, sight.clone(), kernels);
                y.swap_dims(1, 2).reshape([batch, queries, heads * width])
            });
        }
    }
}

#[test]
fn self_attention_is_that_of_burn() {
    for shape @ [batch, heads, length, keys, width] in ATTENTIONS {
        if length == keys {
            for sight in sights(shape) {
                let what = format!("{shape:?}, causal {}, mask {}", sight.causal, sight.mask.is_some());
                both(&[random([batch, length, 3 * heads * width])], &what, |[qkv], kernels| {
                    self_attention(qkv.clone(), heads, sight.clone(), kernels)
                });
            }
        }
    }
    both(&[random([2, 18, 5])], "turned", |[qkv], kernels| {
        self_attention(qkv.clone().swap_dims(1, 2), 3, Sight::default(), kernels)
    });
}

#[test]
fn a_query_that_sees_no_key_gets_zeros_and_gives_no_gradient() {
    let [query, key, value] = [4, 3, 3].map(|length| random([1, 2, length, 5]).require_grad());
    let mask = Tensor::<1>::from_data([0.0, 1.0, 0.0, 0.0], &device()).reshape([1, 1, 4, 1]).greater_elem(0.5);
    let y = attention(query.clone(), key, value, Sight { mask: Some(mask), causal: true }, Kernels::Own);
    // Query 0 comes before the first key, and query 1 is masked.
    let blind = |x: &Tensor<4>| floats(&x.clone().narrow(2, 0, 2)).into_iter().all(|x| x == 0.0);
    assert!(blind(&y));
    assert!(blind(&query.grad(&y.sum().backward()).unwrap()));
}

#[test]
fn cross_entropy_is_that_of_burn() {
    for [rows, classes] in [[1, 1], [2, 3], [5, 17], [130, 40]] {
        let tensors = [random([rows, classes]) * 5.0, random([rows, classes])];
        both(&tensors, &format!("{rows} x {classes}"), |[scores, targets], kernels| {
            cross_entropy(scores.clone(), targets.clone(), kernels)
        });
    }
    let large = Tensor::<2>::from_data([[1e30, -1e30, 0.0], [-2e4, -2e4, -2e4]], &device());
    both(&[large, random([2, 3])], "large scores", |[scores, targets], kernels| {
        cross_entropy(scores.clone(), targets.clone(), kernels)
    });
}

#[test]
fn class_entropy_is_that_of_burn() {
    for [rows, classes] in [[1, 1], [2, 3], [5, 17], [130, 40], [70, 300]] {
        let right: Vec<i32> = (0..rows).map(|row| i32::try_from(row * 7 % classes).unwrap()).collect();
        let right = Tensor::<1, Int>::from_data(right.as_slice(), &device());
        let scores = [random([rows, classes]) * 5.0];
        both(&scores, &format!("{rows} x {classes}"), |[scores], kernels| {
            class_entropy(scores.clone(), right.clone(), kernels)
        });
        // Otherwise in memory, and as soft targets say it.
        both(&[random([classes, rows])], "turned", |[scores], kernels| {
            class_entropy(scores.clone().transpose(), right.clone(), kernels)
        });
        let soft = right.clone().one_hot::<2>(classes.max(2)).float().narrow(1, 0, classes);
        let found = class_entropy(scores[0].clone(), right, Kernels::Own);
        assert_close(&floats(&found), &floats(&cross_entropy(scores[0].clone(), soft, Kernels::Own)), "soft targets");
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        let scores = random([3, 6]).slice_assign([1..2, 2..3], Tensor::full([1, 1], value, &device()));
        let right = Tensor::<1, Int>::from_data([2, 1, 0], &device());
        let [ours, reference] =
            [Kernels::Own, Kernels::Burn].map(|kernels| floats(&class_entropy(scores.clone(), right.clone(), kernels)));
        assert_close(&ours, &reference, &format!("{value}"));
    }
}

#[test]
fn what_is_dropped_has_no_gradient_and_the_rest_grows() {
    device().seed(3);
    let x = random([40, 50]).swap_dims(0, 1).require_grad();
    let y = dropout(x.clone(), 0.25, Kernels::Own);
    let gradient = floats(&x.grad(&(y.clone() * 2.0).sum().backward()).unwrap());
    let (x, y) = (floats(&x), floats(&y));
    for ((x, y), gradient) in x.iter().zip(&y).zip(&gradient) {
        let factor = if *y == 0.0 { 0.0 } else { 4.0 / 3.0 };
        assert!((y - x * factor).abs() < 1e-5 && (gradient - 2.0 * factor).abs() < 1e-5, "{x} {y} {gradient}");
    }
    let dropped = y.iter().filter(|y| **y == 0.0).count();
    assert!((400..600).contains(&dropped), "{dropped} of 2000");
    // The device's seed decides.
    let drawn = |seed| {
        device().seed(seed);
        floats(&dropout(Tensor::<2>::ones([9, 9], &device()), 0.5, Kernels::Own))
    };
    assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
}

#[test]
fn levels_and_their_slopes_are_those_of_burn_however_the_floats_lie() {
    type Levels = fn(Tensor<2>, Kernels) -> Tensor<2>;
    let low: Levels = |x, kernels| at_most(x, 0.5, kernels);
    for (name, curve) in [("tanh", tanh as Levels), ("sigmoid", sigmoid), ("at most", low)] {
        let x = [random([300, 70]) * 4.0];
        both(&x, name, |[x], kernels| curve(x.clone(), kernels));
        both(&x, &format!("{name}, turned"), |[x], kernels| curve(x.clone().swap_dims(0, 1), kernels));
        both(&x, &format!("{name}, a part"), |[x], kernels| curve(x.clone().narrow(1, 3, 20), kernels));
        // There and back: the gradient lies turned, as the levels do.
        both(&x, &format!("{name}, turned twice"), |[x], kernels| {
            curve(x.clone().swap_dims(0, 1), kernels).swap_dims(0, 1)
        });
    }
}

#[test]
fn nan_and_infinity_spread_as_in_burn() {
    let poisoned = |value: f32| random([4, 6]).slice_assign([1..2, 2..3], Tensor::full([1, 1], value, &device()));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (x, what) = (poisoned(value), format!("{value}"));
        let (square, row) = (random([6, 6]), random([6]));
        for curve in CURVES {
            // Both ways: through a sum, in which the weights' signs decide, and straight through the curve.
            for weight in [square.clone(), Tensor::eye(6, &device())] {
                let [ours, reference] = [Kernels::Own, Kernels::Burn]
                    .map(|kernels| floats(&dense(x.clone(), weight.clone(), None, curve, kernels)));
                assert_close(&ours, &reference, &format!("dense, {what}, {curve:?}"));
            }
        }
        let [ours, reference] = [Kernels::Own, Kernels::Burn]
            .map(|kernels| floats(&layer_norm(x.clone(), row.clone(), Some(row.clone()), 1e-5, kernels)));
        assert_close(&ours, &reference, &format!("layer norm, {what}"));
        let [ours, reference] = [Kernels::Own, Kernels::Burn].map(|kernels| {
            let x = x.clone().reshape([1, 1, 4, 6]);
            floats(&attention(x.clone(), x.clone(), x, Sight::default(), kernels))
        });
        assert_close(&ours, &reference, &format!("attention, {what}"));
        let [ours, reference] = [Kernels::Own, Kernels::Burn]
            .map(|kernels| floats(&cross_entropy(x.clone(), Tensor::ones([4, 6], &device()), kernels)));
        assert_close(&ours, &reference, &format!("cross-entropy, {what}"));
    }
}

#[test]
fn the_bits_are_the_same_for_any_number_of_threads() {
    let (table, x) = (random([600, 24]), ids(&(0..300).map(|i| i * i % 600).collect::<Vec<_>>(), [2, 150]));
    let (qkv, wide, narrow) = (random([24, 72]), random([24, 130]) * 0.3, random([130, 24]) * 0.1);
    let run = || {
        let weights = [&table, &qkv, &wide, &narrow].map(|weight| weight.clone().require_grad());
        let [table, qkv, wide, narrow] = weights.clone();
        let own = Kernels::Own;
        let y = layer_norm(embedding(table, x.clone(), own), Tensor::ones([24], &device()), None, 1e-5, own);
        let y = self_attention(dense(y, qkv, None, Curve::Straight, own), 3, Sight::default(), own);
        let y = dense(dense(y, wide, None, Curve::Gelu, own), narrow, None, Curve::GeluTanh, own);
        let gradients =
            cross_entropy(y.clone().flatten(0, 1), Tensor::ones([300, 24], &device()), own).sum().backward();
        (floats(&y), weights.map(|weight| floats(&weight.grad(&gradients).unwrap())))
    };
    let runs =
        [1, 2, 3, 4].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run));
    for other in &runs[1..] {
        assert!(*other == runs[0], "another number of threads, other bits");
    }
}

#[test]
fn other_types_and_empty_tensors_go_to_burn() {
    let double = |x: Tensor<2>| x.cast(DType::F64);
    let y = dense(double(random([2, 3])), double(random([3, 4])), None, Curve::Gelu, Kernels::Own);
    assert_eq!(y.dtype(), DType::F64);
    let nothing = Tensor::<4>::zeros([0, 2, 3, 4], &device());
    assert_eq!(
        attention(nothing.clone(), nothing.clone(), nothing, Sight::default(), Kernels::Own).dims(),
        [0, 2, 3, 4]
    );
}
