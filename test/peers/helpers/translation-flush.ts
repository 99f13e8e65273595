import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Ports by which a PC's PCI configuration is reached, and the command register of the SATA controller, 00:1f.2. */
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const SATA_COMMAND = 0x8000_fa04;
const PCI_COMMAND_MEMORY = 2;

/**
 * Makes an emulating QEMU forget which pages a guest's processors may store to without asking.
 *
 * Before 9.0 it keeps that over a look at the dirty log, and what is then stored is never sent. Any change of the
 * machine's address space makes it start anew: a controller that no guest of ours uses is switched off and on, through
 * QEMU's test protocol, at which `path` listens.
 */
export async function flushTranslations(path: string): Promise<void> {
  const machine = await TestProtocol.connect(path);
  try {
    await machine.ask(`outl ${CONFIG_ADDRESS} ${SATA_COMMAND}`);
    const command = Number((await machine.ask(`inw ${CONFIG_DATA}`)).split(" ")[1]);
    await machine.ask(`outw ${CONFIG_DATA} ${command ^ PCI_COMMAND_MEMORY}`);
    await machine.ask(`outw ${CONFIG_DATA} ${command}`);
  } finally {
    machine.close();
  }
}

class TestProtocol {
  #text = "";
  readonly #socket;

  private constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
    this.#socket.on("error", () => {});
  }

  static async connect(path: string): Promise<TestProtocol> {
    return new TestProtocol(path);
  }

  /** Sends a command and returns its answer, "OK" and values. */
  async ask(command: string): Promise<string> {
    this.#socket.write(`${command}\n`);
    for (let waited = 0; waited < 30_000; waited += 2) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const answer = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        if (!answer.startsWith("OK")) throw new Error(`${command}: ${answer}`);
        return answer;
      }
      await sleep(2);
    }
    throw new Error(`${command}: no answer`);
  }

  close(): void {
    this.#socket.destroy();
  }
}
