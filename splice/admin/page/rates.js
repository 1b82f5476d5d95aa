// Bit rates: differences of the API's totals between two looks.

export class Rates {
  constructor() {
    this.before = new Map();
    this.rates = new Map();
  }

  look(items, count, now) {
    const seen = new Map();
    const rates = new Map();
    for (const item of items) {
      const value = count(item);
      const last = this.before.get(item.id);
      seen.set(item.id, { value, now });
      if (last && now > last.now) rates.set(item.id, (Math.max(0, value - last.value) * 8) / (now - last.now));
    }
    this.before = seen;
    this.rates = rates;
  }

  // In kbit/s, which is bits a millisecond; null where there was no look before.
  of(item) {
    return this.rates.get(item.id) ?? null;
  }

  get total() {
    return [...this.rates.values()].reduce((sum, rate) => sum + rate, 0);
  }
}
