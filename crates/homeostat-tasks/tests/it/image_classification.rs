//! What a picture goes through, the same in training and in serving.

use burn::tensor::{DType, Tensor, TensorData};
use homeostat_data::{Image, ImagePrepare, Normalize, PrepareStep, Resize, Shape, Size, TestViews};
use homeostat_metrics::Truth;
use homeostat_models::{GoogLeNetConfig, ImageModelConfig, InceptionV3Config, MlpConfig};
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{
    BinaryCrossEntropyConfig, ClassWeights, ClassificationResponse, CrossEntropyConfig, FocalConfig, ImageBatch,
    ImageClassification, ImageClassificationConfig, InputShape, LossConfig, Probabilities, Target,
};

use crate::{config, device, line, losses, noise, seeded};

fn complete() -> ImageClassificationConfig {
    config(ImageModelConfig::default(), LossConfig::default())
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice().unwrap().to_vec()
}

fn collated(task: &ImageClassification, images: &[Image]) -> Vec<f32> {
    floats(task.collate(images, &device()).0)
}

/// `(level / 255 - mean) / std` in float64, as `[batch, channels, height, width]`.
fn by_hand(images: &[Image], normalize: &Normalize) -> Vec<f64> {
    let of = |values: &[f64], channel: usize| values[if values.len() == 1 { 0 } else { channel }];
    let mut planes = Vec::new();
    for image in images {
        for channel in 0..image.channels() {
            for y in 0..image.height() {
                for x in 0..image.width() {
                    let level = f64::from(image.get(x, y)[channel]) / 255.0;
                    planes.push((level - of(&normalize.mean, channel)) / of(&normalize.std, channel));
                }
            }
        }
    }
    planes
}

#[test]
fn collate_is_the_normalisation_by_hand() {
    let one = |mean, std| Normalize { mean: vec![mean], std: vec![std] };
    let three = Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    for (channels, normalize) in
        [(1, one(0.1307, 0.3081)), (3, one(0.5, 0.5)), (3, three), (1, Normalize::default()), (3, Normalize::default())]
    {
        let (height, width) = (11, 13);
        let config = ImageClassificationConfig {
            input: Some(InputShape { channels, height, width }),
            prepare: ImagePrepare(vec![PrepareStep::Normalize(normalize.clone())]),
            ..complete()
        };
        let (task, images) = (config.init().unwrap(), noise(3, height, width, channels));
        let ImageBatch(batch) = task.collate(&images, &device());
        assert_eq!(batch.dims(), [3, channels, height, width]);
        for (found, expected) in floats(batch).into_iter().zip(by_hand(&images, &normalize)) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected} with {normalize:?}");
        }
    }
}

#[test]
fn without_a_normalisation_black_is_zero_and_white_is_one() {
    let input = InputShape { channels: 1, height: 16, width: 16 };
    let task = ImageClassificationConfig { input: Some(input), prepare: ImagePrepare::default(), ..complete() };
    let ramp = Image::new(Shape { height: 16, width: 16, channels: 1 }, (0..=255).collect());
    for (level, found) in collated(&task.init().unwrap(), &[ramp]).into_iter().enumerate() {
        assert!((f64::from(found) - level as f64 / 255.0).abs() < 1e-7, "level {level} became {found}");
    }
}

#[test]
fn a_file_that_is_served_becomes_the_input_that_was_trained_on() {
    let size = Size::Rectangle([12, 14]);
    let mut config = complete();
    config.prepare.0.insert(0, PrepareStep::Resize(Resize { size, ..Resize::default() }));
    let task = config.init().unwrap();
    for channels in [1, 3, 4] {
        for sample in noise(2, 20, 9, channels) {
            let served = task.prepare(task.read(&sample.encode_png()).unwrap()).unwrap();
            let trained = task.prepare(sample).unwrap();
            assert_eq!(served, trained);
            assert_eq!(trained.shape(), Shape { height: 12, width: 14, channels: 3 });
        }
    }
}

/// Training measures by `record`, a caller gets `respond`: the same numbers, whoever is beside it in the batch.
#[test]
fn the_probabilities_that_were_measured_are_those_that_are_answered() {
    let (device, _guard) = seeded(5);
    let (images, truths) = (noise(5, 12, 14, 3), [0, 1, 2, 2, 1]);
    for model in crate::networks() {
        for loss in losses() {
            let task = config(model.clone(), loss.clone()).init().unwrap();
            let network = task.init(&device).unwrap();
            let outcome = task.loss(&network, task.collate(&images, &device), &truths.map(Target::Class));
            let (mean, weight) = (outcome.loss().into_scalar::<f64>(), outcome.weight());
            let record = outcome.record();
            assert_eq!((record.loss().mean, record.loss().weight), (mean, weight));
            assert_eq!(record.truth(), &Truth::OneOf(truths.to_vec()));
            let answers = task.respond(&network, task.collate(&images, &device));
            let answered: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.clone()).collect();
            assert_eq!(record.probabilities(), answered, "{model:?}, {loss:?}");
            for (image, answer) in images.iter().zip(&answers) {
                let alone = task.respond(&network, task.collate(std::slice::from_ref(image), &device));
                assert!(task.agree(&alone[0], answer, 1e-6), "{alone:?}, in the batch {answer:?}");
            }
        }
    }
}

#[test]
fn an_answer_is_the_softmax_or_the_sigmoid_of_the_scores_and_their_largest() {
    let (device, _guard) = seeded(6);
    let images = noise(4, 12, 14, 3);
    for loss in losses() {
        let task = config(ImageModelConfig::Mlp(MlpConfig::default()), loss.clone()).init().unwrap();
        let network = task.init(&device).unwrap();
        let ImageBatch(batch) = task.collate(&images, &device);
        let scores = floats(network.forward(batch.clone()));
        let answers = task.respond(&network, ImageBatch(batch));
        assert_eq!(answers.len(), images.len());
        for (answer, scores) in answers.iter().zip(scores.chunks_exact(3)) {
            let odds: Vec<f64> = scores.iter().map(|&score| f64::from(score).exp()).collect();
            let sum: f64 = odds.iter().sum();
            let each_by_itself = matches!(loss, LossConfig::BinaryCrossEntropy(_));
            for (&found, odds) in answer.probabilities.iter().zip(&odds) {
                let expected = if each_by_itself { odds / (1.0 + odds) } else { odds / sum };
                assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected}");
            }
            let best = (0..3).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            assert_eq!((&answer.label, answer.confidence), (&task.labels()[best], answer.probabilities[best]));
        }
    }
}

/// Each view of pictures of 24 x 20 pixels, pixel by pixel.
fn views_by_hand(images: &Tensor<4>, views: TestViews) -> Vec<Tensor<4>> {
    let ([_, _, height, width], values) = (images.dims(), floats(images.clone()));
    let view = |pixel: &dyn Fn(&[f32], usize, usize) -> f32| {
        let plane = |plane: &[f32]| -> Vec<f32> {
            (0..height * width).map(|at| pixel(plane, at / width, at % width)).collect()
        };
        let seen: Vec<f32> = values.chunks_exact(height * width).flat_map(plane).collect();
        Tensor::<4>::from_data(TensorData::new(seen, images.dims()), &images.device())
    };
    if views == TestViews::Mirror {
        return vec![images.clone(), view(&|plane, y, x| plane[y * width + width - 1 - x])];
    }
    // 7/8 of the sides. The two pixels of a side between whose middles a pixel's middle lies, and how near to the second.
    let place = |at: usize, part: usize, side: usize| {
        let doubled = ((2 * at + 1) * part).saturating_sub(side);
        let first = doubled / (2 * side);
        (first, (first + 1).min(part - 1), (doubled % (2 * side)) as f32 / (2 * side) as f32)
    };
    let crop = |[top, left]: [usize; 2]| {
        view(&|plane, y, x| {
            let ((above, below, down), (before, behind, right)) = (place(y, 21, height), place(x, 18, width));
            let level = |y: usize, x: usize| plane[(top + y) * width + left + x];
            let row = |y: usize| level(y, before) * (1.0 - right) + level(y, behind) * right;
            row(above) * (1.0 - down) + row(below) * down
        })
    };
    [[0, 0], [0, 2], [3, 0], [3, 2], [1, 1]].map(crop).into()
}

/// Whatever makes probabilities of scores. What is measured is what is answered, and the temperature is that of the mean.
#[test]
fn an_answer_over_views_is_the_mean_of_the_answers_to_each() {
    let (device, _guard) = seeded(9);
    let input = Some(InputShape { channels: 3, height: 24, width: 20 });
    let mlp = ImageModelConfig::Mlp(MlpConfig { hidden: vec![8], dropout: 0.0 });
    for loss in losses() {
        let plain = ImageClassificationConfig { input, ..config(mlp.clone(), loss.clone()) }.init().unwrap();
        let network = plain.init(&device).unwrap();
        let batch = plain.collate(&noise(3, 24, 20, 3), &device);
        for views in [TestViews::Mirror, TestViews::FiveCrop] {
            let each = views_by_hand(&batch.0, views).into_iter();
            let each: Vec<_> = each.map(|view| plain.respond(&network, ImageBatch(view))).collect();
            let task = plain.clone().in_views(Some(views));
            let answers = task.respond(&network, batch.clone());
            let tempered = task.clone().at_temperature(2.0).respond(&network, batch.clone());
            for (at, answer) in answers.iter().enumerate() {
                let of_class =
                    |class: usize| each.iter().map(|of_view| f64::from(of_view[at].probabilities[class])).sum::<f64>();
                let mean = [0, 1, 2].map(|class| of_class(class) / each.len() as f64);
                let apart = |found: &[f32], wanted: [f64; 3]| {
                    found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).abs()).sum::<f64>()
                };
                assert!(apart(&answer.probabilities, mean) < 1e-5, "{answer:?} {mean:?} {views:?} {loss:?}");
                assert!(!task.agree(&each[0][at], &each[1][at], 1e-3), "the views differ");
                if loss.probabilities() == Probabilities::OneOf {
                    let roots = mean.map(f64::sqrt);
                    let wanted = roots.map(|root| root / roots.iter().sum::<f64>());
                    assert!(apart(&tempered[at].probabilities, wanted) < 1e-5, "{tempered:?} {wanted:?}");
                }
            }
            let record = task.loss(&network, batch.clone(), &[0, 1, 2].map(Target::Class)).record();
            let answered: Vec<f32> = answers.into_iter().flat_map(|answer| answer.probabilities).collect();
            assert_eq!(record.probabilities(), answered);
        }
    }
}

/// The weights are those of Szegedy et al. 2014, and of torchvision's reference for Inception-v3.
#[test]
fn further_heads_have_their_weight_in_the_loss() {
    let (device, _guard) = seeded(10);
    let device = device.autodiff();
    let googlenet = GoogLeNetConfig { width: 1, dropout: 0.0, auxiliary_dropout: 0.0, ..GoogLeNetConfig::default() };
    let inception = InceptionV3Config { width: 1, dropout: 0.0, ..InceptionV3Config::default() };
    for (model, side, weights) in [
        (ImageModelConfig::GoogLeNet(googlenet), 64, vec![0.3, 0.3]),
        (ImageModelConfig::InceptionV3(inception), 299, vec![0.4]),
    ] {
        let input = Some(InputShape { channels: 3, height: side, width: side });
        let task = ImageClassificationConfig { input, ..config(model, LossConfig::default()) }.init().unwrap();
        let network = task.init(&device).unwrap();
        let batch = task.collate(&noise(2, side, side, 3), &device);
        let targets = Tensor::<2>::from_data([[0.0_f32, 0.0, 1.0], [1.0, 0.0, 0.0]], &device);
        let loss = |scores| LossConfig::default().of(scores, targets.clone()).mean.into_scalar::<f64>();
        let scores = network.training_scores(batch.0.clone());
        let further: Vec<f64> = scores.auxiliary.into_iter().map(|(_, scores)| loss(scores)).collect();
        assert_eq!(further.len(), weights.len());
        let weighed = further.iter().zip(&weights).map(|(loss, weight)| loss * weight).sum::<f64>();
        let wanted = loss(scores.main) + weighed;
        let found = task.loss(&network, batch, &[Target::Class(2), Target::Class(0)]).loss().into_scalar::<f64>();
        assert!((found - wanted).abs() < 1e-5, "{found}, expected {wanted} with {weights:?}");
    }
}

#[test]
fn grey_and_transparent_pictures_are_made_to_fit() {
    let colour = complete().init().unwrap();
    let grey = ImageClassificationConfig {
        input: Some(InputShape { channels: 1, height: 12, width: 14 }),
        prepare: ImagePrepare::default(),
        ..complete()
    };
    let grey = grey.init().unwrap();
    let prepared = |task: &ImageClassification, channels, level: &[u8]| {
        let shape = Shape { height: 12, width: 14, channels };
        let png = Image::new(shape, level.repeat(12 * 14)).encode_png();
        let image = task.prepare(task.read(&png).unwrap()).unwrap();
        assert_eq!(image.channels(), task.input().channels);
        image.get(3, 5).to_vec()
    };
    assert_eq!(prepared(&colour, 1, &[77]), [77, 77, 77]);
    assert_eq!(prepared(&colour, 4, &[10, 20, 30, 40]), [10, 20, 30], "transparency is dropped");
    assert_eq!(prepared(&grey, 3, &[10, 20, 30]), [18], "0.299 * 10 + 0.587 * 20 + 0.114 * 30");
    assert_eq!(prepared(&grey, 4, &[10, 20, 30, 40]), [18]);
}

#[test]
fn a_picture_of_another_size_and_bytes_that_are_none_are_refused_in_one_line() {
    let task = complete().init().unwrap();
    let said = line(&task.prepare(noise(1, 14, 12, 3).remove(0)).unwrap_err());
    assert!(said.contains("14 x 12") && said.contains("12 x 14") && said.contains("size = [12, 14]"), "{said}");
    let png = noise(1, 12, 14, 3)[0].encode_png();
    for bytes in [&b""[..], b"no picture", &png[..png.len() / 2]] {
        line(&task.read(bytes).unwrap_err());
    }
}

#[test]
fn answers_agree_but_for_rounding_only() {
    let task = complete().init().unwrap();
    let answer = |label: &str, probabilities: [f32; 3]| ClassificationResponse {
        label: label.into(),
        confidence: probabilities.into_iter().fold(0.0, f32::max),
        probabilities: probabilities.to_vec(),
        labels: Vec::new(),
        cut: false,
    };
    let expected = answer("ant", [0.6, 0.3, 0.1]);
    let agree = |found: &ClassificationResponse| task.agree(&expected, found, 1e-4);
    assert!(agree(&expected));
    assert!(agree(&answer("ant", [0.600_05, 0.299_95, 0.1])));
    assert!(!agree(&answer("ant", [0.6, 0.300_2, 0.099_8])));
    assert!(!agree(&answer("bee", [0.6, 0.3, 0.1])), "another name for the same class");
    assert!(!agree(&ClassificationResponse { probabilities: vec![0.6, 0.3], ..expected.clone() }));
    assert!(!agree(&ClassificationResponse { confidence: 0.5, ..expected.clone() }));
    assert!(!agree(&ClassificationResponse { confidence: f32::NAN, ..expected.clone() }));
    assert!(!agree(&answer("ant", [0.6, f32::NAN, 0.1])));
    let tie = answer("ant", [0.450_01, 0.449_99, 0.1]);
    assert!(task.agree(&tie, &answer("bee", [0.449_99, 0.450_01, 0.1]), 1e-4), "either of a tie may come first");
}

#[test]
fn mixed_targets_share_the_loss() {
    assert_eq!(Target::Class(2).mix(&Target::Class(0), 0.75, 3), Target::Soft(vec![0.25, 0.0, 0.75]));
    assert_eq!(Target::Class(1).mix(&Target::Class(1), 0.25, 3), Target::Soft(vec![0.0, 1.0, 0.0]));
    assert_eq!(Target::Class(1).mix(&Target::Class(0), 1.0, 2), Target::Soft(vec![0.0, 1.0]));
    let soft = Target::Soft(vec![0.5, 0.5, 0.0]);
    assert_eq!(soft.mix(&Target::Class(2), 0.5, 3), Target::Soft(vec![0.25, 0.25, 0.5]));
    assert_eq!(soft.mix(&soft, 0.25, 3), soft);
    assert_eq!([soft.label(), Target::Class(2).label(), Target::Soft(vec![0.25, 0.25, 0.5]).label()], [0, 2, 2]);

    let (device, _guard) = seeded(8);
    let task = complete().init().unwrap();
    let network = task.init(&device).unwrap();
    let loss = |truth: Target| {
        let batch = task.collate(&noise(1, 12, 14, 3), &device);
        task.loss(&network, batch, &[truth]).loss().into_scalar::<f64>()
    };
    let mixed = loss(Target::Class(0).mix(&Target::Class(2), 0.75, 3));
    let shared = 0.75 * loss(Target::Class(0)) + 0.25 * loss(Target::Class(2));
    assert!((mixed - shared).abs() < 1e-6, "{mixed}, expected {shared}");
}

#[test]
fn tables_that_make_no_task_are_refused_in_one_line() {
    type Change = fn(&mut ImageClassificationConfig);
    let broken: [(Change, &str); 17] = [
        (|config| config.labels.clear(), "labels is not known yet"),
        (|config| config.labels.truncate(1), "labels is not known yet"),
        (|config| config.input = None, "input is not known yet"),
        (
            |config| config.input = Some(InputShape { channels: 4, height: 12, width: 14 }),
            "`task.image-classification.input.channels`: is 4",
        ),
        (|config| config.input = Some(InputShape { channels: 3, height: 0, width: 14 }), "0 x 14 pixels"),
        (|config| config.input = Some(InputShape { channels: 3, height: usize::MAX, width: 3 }), "has 1 to 67108864"),
        (|config| config.model = ImageModelConfig::Mlp(MlpConfig { hidden: vec![0], dropout: 0.0 }), "a width of 0"),
        (|config| config.loss = focal(1e300), "loss`: focal.gamma"),
        (|config| config.prepare = ImageClassificationConfig::default().prepare, "(normalize-from-train)"),
        (|config| config.prepare.0.push(PrepareStep::Channels(1)), "has to be the last step"),
        (|config| config.prepare.0.insert(0, PrepareStep::Channels(2)), "2 is neither 1 nor 3"),
        (|config| config.prepare.0[0] = normalize(vec![0.0; 3], vec![1.0; 2]), "3 means and 2 standard deviations"),
        (|config| config.prepare.0[0] = normalize(vec![0.0], vec![0.0]), "standard deviations above 0"),
        (|config| config.input = Some(InputShape { channels: 1, height: 12, width: 14 }), "3 means"),
        (|config| config.loss = smooth(2.0), "loss`: label-smoothing is 2"),
        (|config| config.loss = weighted(ClassWeights::Given(vec![1.0])), "1 weights for 3 classes"),
        (|config| config.loss = weighted(ClassWeights::Balanced), "(balanced class-weights)"),
    ];
    for (change, said) in broken {
        let mut config = complete();
        change(&mut config);
        let error = line(&config.init().unwrap_err());
        assert!(error.contains(said), "{error}");
    }
    let tiny = InputShape { channels: 3, height: 1, width: 1 };
    let task = ImageClassificationConfig { input: Some(tiny), ..complete() }.init().unwrap();
    let error = line(&task.init(&device()).unwrap_err());
    assert!(error.contains("1x1"), "{error}");
}

fn normalize(mean: Vec<f64>, std: Vec<f64>) -> PrepareStep {
    PrepareStep::Normalize(Normalize { mean, std })
}

fn smooth(label_smoothing: f64) -> LossConfig {
    LossConfig::BinaryCrossEntropy(BinaryCrossEntropyConfig { label_smoothing, ..BinaryCrossEntropyConfig::default() })
}

fn focal(gamma: f64) -> LossConfig {
    LossConfig::Focal(FocalConfig { gamma, ..FocalConfig::default() })
}

fn weighted(class_weights: ClassWeights) -> LossConfig {
    match class_weights {
        ClassWeights::Balanced => LossConfig::Focal(FocalConfig { class_weights, ..FocalConfig::default() }),
        _ => LossConfig::CrossEntropy(CrossEntropyConfig { class_weights, ..CrossEntropyConfig::default() }),
    }
}
