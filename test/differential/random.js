'use strict';

// A seeded generator of random numbers (mulberry32): the same seed gives the same cases everywhere.

class Random {
	constructor(seed) {
		this.state = seed >>> 0;
	}

	// A number from 0 to 1, without 1.
	next() {
		this.state = (this.state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	}

	below(limit) {
		return Math.floor(this.next() * limit);
	}

	chance(probability) {
		return this.next() < probability;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	// One of the keys of an object. The values are the weights.
	weighted(weights) {
		let left = this.next() * Object.values(weights).reduce((sum, weight) => sum + weight, 0);
		for (const [key, weight] of Object.entries(weights)) {
			left -= weight;
			if (left < 0)
				return key;
		}
		return Object.keys(weights)[0];
	}

	// A string of that number of elements of the alphabet.
	string(alphabet, length) {
		let text = '';
		for (let i = 0; i < length; i++)
			text += this.pick(alphabet);
		return text;
	}
}

module.exports = { Random };
