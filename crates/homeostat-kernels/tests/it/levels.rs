use burn::tensor::Device;
use homeostat_kernels::{Kernels, scaled_levels};

use crate::floats;

#[test]
fn bytes_become_what_burns_operations_make_of_them() {
    for (rows, width) in [(0, 3), (1, 1), (5, 7), (40, 1000), (300, 1000)] {
        let levels: Vec<u8> = (0..rows * width).map(|at| u8::try_from(at * 37 % 256).unwrap()).collect();
        let scale: Vec<f32> = (0..width).map(|at| 0.01 + at as f32 / 999.0).collect();
        let shift: Vec<f32> = (0..width).map(|at| 1.0 - at as f32 / 333.0).collect();
        for device in [Device::flex(), Device::flex().autodiff()] {
            let [ours, reference] = [Kernels::Own, Kernels::Burn].map(|kernels| {
                let tensor = scaled_levels(levels.clone(), &scale, &shift, &device, kernels);
                assert_eq!(tensor.dims(), [rows, width]);
                floats(&tensor)
            });
            assert_eq!(ours, reference, "{rows} x {width}");
        }
    }
}
