/** What `svq --version` prints, and the control socket greets with. */
export const VERSION = "0.1.0";
