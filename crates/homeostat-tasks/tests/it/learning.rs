//! A network with dense layers and one with convolutions learn eight pictures by heart under every loss; the zoo's own tests
//! have every network do so.

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
};
use homeostat_models::ImageModelConfig;
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{ClassificationResponse, Target};

use crate::{config, in_one_of_three_draws, losses, noise, seeded};

#[test]
fn networks_overfit_eight_samples_under_every_loss() {
    let (device, _guard) = seeded(3);
    let device = device.autodiff();
    let (images, classes) = (noise(8, 12, 14, 3), [0, 1, 2, 0, 1, 2, 0, 1]);
    let truths = classes.map(Target::Class);
    for model in ImageModelConfig::examples().into_iter().take(3) {
        for loss in losses() {
            let task = config(model.clone(), loss.clone()).init().unwrap();
            in_one_of_three_draws(|| {
                let mut network = task.init(&device).unwrap();
                let mut optimizer = AdamConfig::new().init();
                for _ in 0..200 {
                    let loss = task.loss(&network, task.collate(&images, &device), &truths).loss();
                    let gradients = GradientsParams::from_grads(loss.backward(), &network);
                    network = optimizer.step(1e-2, network, gradients);
                }
                let answers = task.respond(&network.valid(), task.collate(&images, &device.clone().inner()));
                let is_wrong = |answer: &ClassificationResponse, class: usize| {
                    answer.label != task.labels()[class] || answer.confidence <= 0.5
                };
                let wrong = answers.into_iter().zip(classes).find(|(answer, class)| is_wrong(answer, *class as usize));
                wrong.map_or(Ok(()), |(answer, class)| Err(format!("{model:?} under {loss:?}: {class} is {answer:?}")))
            });
        }
    }
}
