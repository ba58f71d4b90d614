//! Functions whose loops are compiled for the widest vectors that a machine has. It does not know what the loops do.

/// Makes a function of its body that is compiled twice: for what every machine of its kind can do, and for AVX2 (or what else `pulp`
/// knows of); the machine that runs it chooses. The same results come out. What the body calls has to be inlined to take part.
macro_rules! widest {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident<$life:lifetime $(, const $size:ident: usize)?>($($argument:ident: $kind:ty),+ $(,)?)
        -> $output:ty $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$life $(, const $size: usize)?>($($argument: $kind),+) -> $output {
            struct Work<$life $(, const $size: usize)?> {
                $($argument: $kind,)+
                life: std::marker::PhantomData<&$life ()>,
            }
            impl<$life $(, const $size: usize)?> pulp::NullaryFnOnce for Work<$life $(, $size)?> {
                type Output = $output;

                #[inline(always)]
                fn call(self) -> $output {
                    let Self { $($argument,)+ .. } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Work $(::<$size>)? { $($argument,)+ life: std::marker::PhantomData })
        }
    };
}

pub(crate) use widest;
