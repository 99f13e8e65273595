import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      { extends: true, test: { name: "house", include: ["test/house/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["house", "threads", "cli", "daemon/data"]
            .map((folder) => `test/${folder}/**`)
            .concat("test/peers/*.test.ts"),
          testTimeout: 60_000,
        },
      },
      {
        // Spinning workers share two cores: one such file at a time.
        extends: true,
        test: {
          name: "threads",
          include: ["test/threads/**/*.test.ts", "test/cli/**/*.test.ts", "test/daemon/data/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Guests without hardware support take all the time they get: one at a time, after everything else.
        extends: true,
        test: {
          name: "peers",
          include: ["test/peers/*.test.ts"],
          globalSetup: "test/peers/setup.ts",
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
