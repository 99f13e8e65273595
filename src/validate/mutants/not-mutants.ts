/** Rows that have no mutant, and why. */
export const NOT_MUTANTS: Readonly<Record<string, string>> = {
  "SVQ-6.10": "no reverse lookup: a guest address is looked up as it is, so that two of them never share an entry",
  "SVQ-6.23": "IN_ORDER is not offered",
  "SVQ-6.24": "IN_ORDER is not offered",
  "BI-113": "nothing native here: descriptors of files and foreign memory come with the real relay",
};
