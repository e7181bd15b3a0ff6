//! Folders of bounded size: project quotas, else loop-mounted images.
