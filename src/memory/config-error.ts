/** What a user asked for cannot be done; the message is one line that says what and why. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
