/** Rules of trackers that a migration alone does not show, by name: whether the shipping code keeps them. */
export const TRACKER_CHECKS: Readonly<Record<string, () => boolean | Promise<boolean>>> = {};
