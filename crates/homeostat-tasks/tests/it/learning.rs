//! A network with dense layers and one with convolutions learn eight pictures by heart under every loss; the zoo's own tests
//! have every network do so.

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
};
use homeostat_models::ImageModelConfig;
use homeostat_task::{Outcome, Task};
use homeostat_tasks::Target;

use crate::{config, losses, noise, seeded};

#[test]
fn networks_overfit_eight_samples_under_every_loss() {
    let (device, _guard) = seeded(3);
    let (images, classes) = (noise(8, 12, 14, 3), [0, 1, 2, 0, 1, 2, 0, 1]);
    let truths = classes.map(Target::Class);
    for model in ImageModelConfig::examples().into_iter().take(3) {
        for loss in losses() {
            let what = format!("{model:?} under {loss:?}");
            let task = config(model.clone(), loss).init().unwrap();
            let device = device.clone().autodiff();
            let mut network = task.init(&device).unwrap();
            let mut optimizer = AdamConfig::new().init();
            for _ in 0..200 {
                let loss = task.loss(&network, task.collate(&images, &device), &truths).loss();
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimizer.step(1e-2, network, gradients);
            }
            let answers = task.respond(&network.valid(), task.collate(&images, &device.clone().inner()));
            for (answer, class) in answers.iter().zip(classes) {
                assert_eq!(answer.label, task.labels()[class as usize], "{what}");
                assert!(answer.confidence > 0.5, "{what}: {answer:?}");
            }
        }
    }
}
