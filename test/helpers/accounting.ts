export { type Account, driverAccounts, shadowAccount, shadowAccounts } from "../../src/validate/faults/accounting.js";
