//! Where events come from: the programs in the kernel, or, where it takes none, what `/proc` and the process connector
//! tell.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_sensor::{Ability, Losses, Missed, Options, Profiler, Record, Sensor, SensorError};

use crate::fallback::Fallback;

/// A source of events.
pub enum Source {
    /// The programs in the kernel.
    Kernel(Box<Sensor>),
    /// Everything that can be seen without them.
    Proc(Fallback),
}

impl Source {
    /// The programs in the kernel if it takes them, else what there is without them; and what cannot be seen.
    ///
    /// # Errors
    /// One of the names to be watched is none.
    pub fn load(
        options: &Options,
        without_kernel: bool,
    ) -> Result<(Self, Vec<Ability>), SensorError> {
        let why = if without_kernel {
            "it was asked for".to_owned()
        } else {
            match Sensor::load(options) {
                Ok((sensor, abilities)) => return Ok((Self::Kernel(Box::new(sensor)), abilities)),
                Err(error @ SensorError::Map { .. }) => return Err(error),
                Err(error) => error.to_string(),
            }
        };
        let (fallback, abilities) = Fallback::new(&why);
        Ok((Self::Proc(fallback), abilities))
    }

    /// See [`Sensor::next_batch`].
    pub(crate) fn next_batch(
        &mut self,
        timeout: Duration,
        give: &mut dyn FnMut(Record),
    ) -> Result<(), SensorError> {
        match self {
            Self::Kernel(sensor) => sensor.next_batch(timeout, give).map(drop),
            Self::Proc(fallback) => {
                fallback.next_batch(timeout, give);
                Ok(())
            }
        }
    }

    /// See [`Sensor::profiler`]. Without the kernel's programs there is none.
    pub(crate) fn profiler(&mut self) -> Option<Profiler> {
        match self {
            Self::Kernel(sensor) => sensor.profiler(),
            Self::Proc(_) => None,
        }
    }

    /// See [`Sensor::hold`]. Without the kernel's programs nothing can be held.
    pub(crate) fn hold(&mut self, names: &[String]) -> Result<(), SensorError> {
        match self {
            Self::Kernel(sensor) => sensor.hold(names),
            Self::Proc(_) => Ok(()),
        }
    }

    /// See [`Sensor::losses`].
    pub(crate) fn losses(&self) -> Result<BTreeMap<u64, Losses>, SensorError> {
        match self {
            Self::Kernel(sensor) => sensor.losses(),
            Self::Proc(fallback) => Ok(fallback.losses()),
        }
    }

    /// See [`Sensor::missed`].
    pub(crate) fn missed(&self) -> Result<Missed, SensorError> {
        match self {
            Self::Kernel(sensor) => sensor.missed(),
            Self::Proc(_) => Ok(Missed::default()),
        }
    }
}
