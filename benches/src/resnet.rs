//! ResNet-18 (He et al. 2015) with Burn's parameters and our operations: the work of `peer`.

use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use homeostat_kernels::{
    Activation, Conv2dOptions, Kernels, MaxPool2dOptions, adaptive_avg_pool2d, conv_norm, linear, max_pool2d,
};

/// A convolution without bias, and the normalisation after it.
#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let conv = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(kernel / 2, kernel / 2, kernel / 2, kernel / 2))
            .with_bias(false)
            .init(device);
        Self { conv, norm: BatchNormConfig::new(channels[1]).init(device) }
    }

    fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, activation: Activation) -> Tensor<4> {
        let padding = self.conv.kernel_size.map(|kernel| (kernel / 2, kernel / 2));
        let options = Conv2dOptions { stride: self.conv.stride, padding, activation, ..Conv2dOptions::default() };
        conv_norm(x, self.conv.weight.val(), &self.norm, residual, &options, Kernels::selected())
    }
}

#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    down: Option<ConvNorm>,
}

impl Block {
    fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let [from, to] = channels;
        Self {
            first: ConvNorm::new([from, to], 3, stride, device),
            second: ConvNorm::new([to, to], 3, 1, device),
            down: (stride != 1 || from != to).then(|| ConvNorm::new([from, to], 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.first.forward(x.clone(), None, Activation::Relu);
        let residual = match &self.down {
            Some(down) => down.forward(x, None, Activation::Linear),
            None => x,
        };
        self.second.forward(y, Some(residual), Activation::Relu)
    }
}

/// ResNet-18, in the form for CIFAR (a 3x3 stem) or for ImageNet (a 7x7 stem with stride and max-pooling).
#[derive(Module, Debug)]
pub struct ResNet18 {
    stem: ConvNorm,
    pooled: bool,
    blocks: Vec<Block>,
    classifier: Linear,
}

impl ResNet18 {
    /// Three channels, 32x32, 10 classes.
    #[must_use]
    pub fn cifar(device: &Device) -> Self {
        Self::new(ConvNorm::new([3, 64], 3, 1, device), false, 10, device)
    }

    /// Three channels, 224x224, 1000 classes.
    #[must_use]
    pub fn imagenet(device: &Device) -> Self {
        Self::new(ConvNorm::new([3, 64], 7, 2, device), true, 1000, device)
    }

    fn new(stem: ConvNorm, pooled: bool, classes: usize, device: &Device) -> Self {
        let stages = [([64, 64], 1), ([64, 128], 2), ([128, 256], 2), ([256, 512], 2)];
        let blocks = stages
            .into_iter()
            .flat_map(|(channels, stride)| [(channels, stride), ([channels[1]; 2], 1)])
            .map(|(channels, stride)| Block::new(channels, stride, device))
            .collect();
        Self { stem, pooled, blocks, classifier: LinearConfig::new(512, classes).init(device) }
    }

    /// `[batch, 3, height, width] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let kernels = Kernels::selected();
        let mut x = self.stem.forward(images, None, Activation::Relu);
        if self.pooled {
            let options = MaxPool2dOptions { stride: [2, 2], padding: [1, 1], ..MaxPool2dOptions::new([3, 3]) };
            x = max_pool2d(x, &options, kernels);
        }
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let features = adaptive_avg_pool2d(x, [1, 1], kernels).flatten(1, 3);
        let bias = self.classifier.bias.as_ref().map(|bias| bias.val());
        linear(features, self.classifier.weight.val(), bias, Activation::Linear, kernels)
    }
}
