//! Operations against naive twins in float64, one loop each: values, and gradients as slopes of the twin. Convolution, dense
//! layers, layer normalisation and attention have theirs beside their kernels.

use burn::{
    nn::BatchNormConfig,
    tensor::{Tensor, TensorData},
};
use homeostat_kernels::{
    Activation, AdamStep, AvgPool2dOptions, Kernels, MaxPool2dOptions, MomentumStep, adam_step, adaptive_avg_pool2d,
    avg_pool2d, batch_norm, cross_entropy, embedding, max_pool2d, momentum_step,
};

use crate::{assert_close, device, floats, random};

/// Compares values, and the gradients of their sum weighted by cosines at every input, all as plain rows of numbers.
fn check(
    what: &str,
    inputs: &[Vec<f32>],
    ours: impl Fn(&[Tensor<1>]) -> Tensor<1>,
    twin: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let leaves: Vec<Tensor<1>> =
        inputs.iter().map(|input| Tensor::from_floats(input.as_slice(), &device()).require_grad()).collect();
    let y = ours(&leaves);
    let exact: Vec<Vec<f64>> = inputs.iter().map(|input| input.iter().map(|&x| f64::from(x)).collect()).collect();
    assert_close(&floats(&y), &narrow(&twin(&exact)), what);

    let weights: Vec<f64> = (0..y.dims()[0]).map(|index| (index as f64).cos()).collect();
    let upstream = Tensor::<1>::from_floats(narrow(&weights).as_slice(), &device());
    let gradients = (y * upstream).sum().backward();
    let loss = |inputs: &[Vec<f64>]| twin(inputs).iter().zip(&weights).map(|(y, weight)| y * weight).sum::<f64>();
    for (input, leaf) in leaves.iter().enumerate() {
        let slopes: Vec<f64> = (0..exact[input].len())
            .map(|at| {
                let moved = |step: f64| {
                    let mut inputs = exact.clone();
                    inputs[input][at] += step;
                    loss(&inputs)
                };
                (moved(1e-6) - moved(-1e-6)) / 2e-6
            })
            .collect();
        let found = floats(&leaf.grad(&gradients).unwrap());
        assert_close(&found, &narrow(&slopes), &format!("{what}, gradient of input {input}"));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "compared as float32")]
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn row(count: usize) -> Vec<f32> {
    floats(&random([count]))
}

const SHAPE: [usize; 4] = [2, 3, 6, 5];

/// The pixels of each window of an image of 6 x 5, in the order of the output of [`SHAPE`]; with the place in the row.
fn windows(starts: [&[(i64, i64)]; 2]) -> Vec<Vec<usize>> {
    let [_, _, height, width] = SHAPE.map(|size| size as i64);
    let mut windows = vec![];
    for plane in 0..6 {
        for &(top, bottom) in starts[0] {
            for &(left, right) in starts[1] {
                let inside =
                    (top.max(0)..bottom.min(height)).flat_map(|y| (left.max(0)..right.min(width)).map(move |x| (y, x)));
                windows.push(inside.map(|(y, x)| usize::try_from((plane * height + y) * width + x).unwrap()).collect());
            }
        }
    }
    windows
}

#[test]
fn pooling() {
    let pixels = row(180);
    let image = |x: &Tensor<1>| x.clone().reshape(SHAPE);
    // Windows of 3 x 3, two apart, with a border of one: along six rows and along five columns.
    let bordered = windows([&[(-1, 2), (1, 4), (3, 6)], &[(-1, 2), (1, 4), (3, 6)]]);
    let options = MaxPool2dOptions { stride: [2, 2], padding: [1, 1], ..MaxPool2dOptions::new([3, 3]) };
    let max = |x: &[Tensor<1>]| max_pool2d(image(&x[0]), &options, Kernels::Own).flatten(0, 3);
    let largest = |x: &[Vec<f64>]| -> Vec<f64> {
        bordered.iter().map(|window| window.iter().map(|&at| x[0][at]).fold(f64::NEG_INFINITY, f64::max)).collect()
    };
    check("max", std::slice::from_ref(&pixels), max, largest);

    for count_padding in [true, false] {
        let options = AvgPool2dOptions { kernel: [3, 3], stride: [2, 2], padding: [1, 1], count_padding };
        let average = |x: &[Tensor<1>]| avg_pool2d(image(&x[0]), &options, Kernels::Own).flatten(0, 3);
        let mean = |x: &[Vec<f64>]| -> Vec<f64> {
            let count = |window: &Vec<usize>| if count_padding { 9 } else { window.len() };
            bordered
                .iter()
                .map(|window| window.iter().map(|&at| x[0][at]).sum::<f64>() / count(window) as f64)
                .collect()
        };
        check(&format!("average, border counted: {count_padding}"), std::slice::from_ref(&pixels), average, mean);
    }

    // Four parts of six rows and two of five columns: they overlap.
    let parts = windows([&[(0, 2), (1, 3), (3, 5), (4, 6)], &[(0, 3), (2, 5)]]);
    let adaptive = |x: &[Tensor<1>]| adaptive_avg_pool2d(image(&x[0]), [4, 2], Kernels::Own).flatten(0, 3);
    let mean = |x: &[Vec<f64>]| -> Vec<f64> {
        parts.iter().map(|part| part.iter().map(|&at| x[0][at]).sum::<f64>() / part.len() as f64).collect()
    };
    check("adaptive", &[pixels], adaptive, mean);
}

#[test]
fn batch_normalisation() {
    const CHANNELS: usize = 3;
    const PLANE: usize = 30;
    for relu in [false, true] {
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        let ours = |inputs: &[Tensor<1>]| {
            let [x, residual, gamma, beta] = inputs else { panic!("four inputs") };
            let mut norm = BatchNormConfig::new(CHANNELS).init(&device());
            norm.gamma = norm.gamma.map(|_| gamma.clone());
            norm.beta = norm.beta.map(|_| beta.clone());
            let [x, residual] = [x, residual].map(|x| x.clone().reshape(SHAPE));
            batch_norm(x, &norm, Some(residual), activation, Kernels::Own).flatten(0, 3)
        };
        let twin = |inputs: &[Vec<f64>]| -> Vec<f64> {
            let [x, residual, gamma, beta] = inputs else { panic!("four inputs") };
            let channel = |at: usize| at / PLANE % CHANNELS;
            let moments: Vec<(f64, f64)> = (0..CHANNELS)
                .map(|wanted| {
                    let of: Vec<f64> = (0..x.len()).filter(|&at| channel(at) == wanted).map(|at| x[at]).collect();
                    let mean = of.iter().sum::<f64>() / of.len() as f64;
                    (mean, of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / of.len() as f64)
                })
                .collect();
            (0..x.len())
                .map(|at| {
                    let (mean, variance) = moments[channel(at)];
                    let y = (x[at] - mean) / (variance + 1e-5).sqrt() * gamma[channel(at)] + beta[channel(at)];
                    let y = y + residual[at];
                    if relu { y.max(0.0) } else { y }
                })
                .collect()
        };
        check(&format!("batch norm, ReLU: {relu}"), &[row(180), row(180), row(3), row(3)], ours, twin);
    }
}

#[test]
fn entropy_with_soft_targets() {
    const CLASSES: usize = 7;
    let ours = |inputs: &[Tensor<1>]| {
        let [scores, targets] = [&inputs[0], &inputs[1]].map(|x| x.clone().reshape([4, CLASSES]));
        cross_entropy(scores, targets, Kernels::Own)
    };
    let twin = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let rows = inputs[0].chunks(CLASSES).zip(inputs[1].chunks(CLASSES));
        rows.map(|(scores, targets)| {
            let whole = scores.iter().map(|score| score.exp()).sum::<f64>().ln();
            scores.iter().zip(targets).map(|(score, target)| target * (whole - score)).sum()
        })
        .collect()
    };
    check("cross-entropy", &[row(4 * CLASSES), row(4 * CLASSES)], ours, twin);
}

#[test]
fn rows_of_a_table() {
    let numbers = [4, 0, 2, 2, 4, 4];
    let ids =
        Tensor::from_data(TensorData::new(numbers.map(|id| i32::try_from(id).unwrap()).to_vec(), [3, 2]), &device());
    let ours = |x: &[Tensor<1>]| embedding(x[0].clone().reshape([5, 3]), ids.clone(), Kernels::Own).flatten(0, 2);
    let twin = |x: &[Vec<f64>]| numbers.iter().flat_map(|id| x[0][3 * id..][..3].to_vec()).collect();
    check("embedding", &[row(15)], ours, twin);
}

/// Adam with decoupled decay (Loshchilov & Hutter 2019) and Nesterov's momentum, as their formulas stand.
#[test]
fn steps() {
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    let tensors = [row(33), row(33), row(33), row(33).iter().map(|x| x.abs()).collect()];
    let tensor = |x: &Vec<f32>| Tensor::<1>::from_floats(x.as_slice(), &device().inner());
    let [parameter, gradient, first, second] = tensors.each_ref().map(|x| wide(x));

    let step = AdamStep { rate: 0.1, epsilon: 1e-3, betas: [0.9, 0.99], penalty: 0.0, left: 0.98 };
    let found = adam_step(tensors.each_ref().map(tensor), step, Kernels::Own).map(|x| floats(&x));
    let first: Vec<f64> = first.iter().zip(&gradient).map(|(m, g)| 0.9 * m + 0.1 * g).collect();
    let second: Vec<f64> = second.iter().zip(&gradient).map(|(v, g)| 0.99 * v + 0.01 * g * g).collect();
    let way = first.iter().zip(&second).map(|(m, v)| 0.1 * m / (v.sqrt() + 1e-3));
    let next: Vec<f64> = parameter.iter().zip(way).map(|(x, way)| 0.98 * x - way).collect();
    for (found, exact) in found.iter().zip([&next, &first, &second]) {
        assert_close(found, &narrow(exact), "Adam");
    }

    let step = MomentumStep { rate: 0.1, momentum: 0.9, nesterov: true, penalty: 0.2 };
    let [x, g, v, _] = tensors.each_ref().map(tensor);
    let found = momentum_step([x, g, v], step, Kernels::Own).map(|x| floats(&x));
    let penalised: Vec<f64> = gradient.iter().zip(&parameter).map(|(g, x)| g + 0.2 * x).collect();
    let velocity: Vec<f64> = penalised.iter().zip(wide(&tensors[2])).map(|(g, v)| 0.9 * v + g).collect();
    let way = velocity.iter().zip(&penalised).map(|(v, g)| 0.9 * v + g);
    let next: Vec<f64> = parameter.iter().zip(way).map(|(x, way)| x - 0.1 * way).collect();
    for (found, exact) in found.iter().zip([&next, &velocity]) {
        assert_close(found, &narrow(exact), "momentum");
    }
}
