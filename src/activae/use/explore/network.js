"use strict";
// The forward pass: layers as layers.py lists them, on one sample, an array of numbers.

function bytesOf(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function floats(text) { return new Float32Array(bytesOf(text).buffer); }

// Whole numbers of 16 bits, each block of which has a step of its own.
function stepped(text, scales) {
  const steps = new Int16Array(bytesOf(text).buffer), size = steps.length / scales.length;
  return Float32Array.from(steps, (step, i) => step * scales[Math.floor(i / size)]);
}

class Network {
  constructor(exported) {
    Object.assign(this, exported);
    this.weights = exported.scales ? stepped(exported.weights, floats(exported.scales)) : floats(exported.weights);
    this.tables = floats(exported.tables);
  }

  encode(x) { return this.through(this.encoder, x); }

  // total: of the sample's values, for networks that share it out.
  decode(code, total = 1) { return this.through(this.decoder, code, total); }

  reconstruct(x) { return this.decode(this.encode(x), sum(x)); }

  through(layers, x, total = 1) {
    return layers.reduce((y, layer) => KINDS[layer.is](layer, y, this, total), Float64Array.from(x));
  }

  part([first, count]) { return this.weights.subarray(first, first + count); }

  // A piecewise cubic; the first and the last piece are the tails, in x itself.
  look([first, count], x) {
    const all = this.tables, pieces = count / 5;
    let low = 0, high = pieces - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (all[first + middle] <= x) low = middle; else high = middle - 1;
    }
    let t = x;
    if (low > 0 && low < pieces - 1) {
      const left = all[first + low], right = all[first + low + 1];
      t = 2 * (x - left) / (right - left) - 1;
    }
    const at = first + low;
    return all[at + pieces] + t * (all[at + 2 * pieces] + t * (all[at + 3 * pieces] + t * all[at + 4 * pieces]));
  }
}

function sum(x) { let all = 0; for (const each of x) all += each; return all; }

const KINDS = {
  linear(layer, x, net) {
    const w = net.part(layer.w), y = Float64Array.from(net.part(layer.b)), n = layer.in;
    for (let i = 0, k = 0; i < y.length; i++) {
      let all = 0;
      for (let j = 0; j < n; j++) all += w[k++] * x[j];
      y[i] += all;
    }
    return y;
  },

  conv(layer, x, net) { return convolved(layer, x, net, layer.to, layer.from, false); },

  up(layer, x, net) { return convolved(layer, x, net, layer.from, layer.to, true); },

  affine(layer, x, net) {
    const w = net.part(layer.w), b = net.part(layer.b), each = x.length / w.length;
    return x.map((v, i) => v * w[Math.floor(i / each)] + b[Math.floor(i / each)]);
  },

  norm(layer, x, net) {
    const w = net.part(layer.w), b = net.part(layer.b), size = x.length / layer.groups;
    const y = new Float64Array(x.length);
    for (let first = 0; first < x.length; first += size) {
      const group = x.subarray(first, first + size), mean = sum(group) / size;
      const scale = 1 / Math.sqrt(sum(group.map(v => (v - mean) ** 2)) / size + layer.eps);
      group.forEach((v, i) => { y[first + i] = (v - mean) * scale; });
    }
    const each = x.length / w.length;
    return y.map((v, i) => v * w[Math.floor(i / each)] + b[Math.floor(i / each)]);
  },

  add(layer, x, net) {
    const y = net.through(layer.branch, x), short = net.through(layer.short, x);
    return y.map((v, i) => short[i] + layer.scale * v);
  },

  act(layer, x, net) {
    const each = x.length / layer.tables.length;
    return x.map((v, i) => net.look(layer.tables[Math.floor(i / each)], v));
  },

  gated(layer, x, net) {
    const half = x.length / 2;
    return x.slice(0, half).map((v, i) => v * net.look(layer.tables[0], x[half + i]));
  },

  maxout(layer, x) {
    const units = x.length / layer.pieces, y = x.slice(0, units);
    for (let i = units; i < x.length; i++) y[i % units] = Math.max(y[i % units], x[i]);
    return y;
  },

  crelu(layer, x) {
    const y = new Float64Array(2 * x.length);
    x.forEach((v, i) => { y[i] = Math.max(v, 0); y[x.length + i] = Math.max(-v, 0); });
    return y;
  },

  exp(layer, x) { return x.map(Math.exp); },

  sphere(layer, x) {
    const length = Math.max(Math.sqrt(sum(x.map(v => v * v))), 1e-12);
    return x.map(v => Math.sqrt(x.length) * v / length);
  },

  log_shares(layer, x) {
    const counts = x.map(v => Math.max(v, 0)), mean = Math.max(sum(counts) / x.length, 1e-6);
    return counts.map(v => Math.log1p(v / mean));
  },

  shares(layer, x, net, total) {
    const n = layer.inflated ? x.length / 2 : x.length, raw = x.subarray(0, n);
    const most = raw.reduce((a, b) => Math.max(a, b), -Infinity);
    const shares = raw.map(v => Math.exp(v - most)), factor = Math.max(total, layer.least) / sum(shares);
    return shares.map((v, i) => v * factor * (layer.inflated ? 1 / (1 + Math.exp(x[n + i])) : 1));
  },
};

// A convolution from `fine` to `coarse`, or `up`, its transpose: the same pairs of places, the
// other way round. Weights are [coarse channels, fine channels, rows, columns] for both.
function convolved(layer, x, net, coarse, fine, up) {
  const [channels, height, width] = coarse, [others, rows, columns] = fine;
  const w = net.part(layer.w), bias = net.part(layer.b), [kh, kw] = layer.kernel;
  const [sh, sw] = layer.stride, [ph, pw] = layer.pad, out = layer.to;
  const y = new Float64Array(out[0] * out[1] * out[2]), plane = out[1] * out[2];
  for (let c = 0; c < out[0]; c++) y.fill(bias[c], c * plane, (c + 1) * plane);
  for (let c = 0; c < channels; c++) for (let o = 0; o < others; o++)
    for (let a = 0; a < kh; a++) for (let b = 0; b < kw; b++) {
      const weight = w[((c * others + o) * kh + a) * kw + b];
      for (let i = 0; i < height; i++) {
        const row = i * sh - ph + a;
        if (row < 0 || row >= rows) continue;
        for (let j = 0; j < width; j++) {
          const column = j * sw - pw + b;
          if (column < 0 || column >= columns) continue;
          const near = (c * height + i) * width + j, far = (o * rows + row) * columns + column;
          if (up) y[far] += weight * x[near]; else y[near] += weight * x[far];
        }
      }
    }
  return y;
}

// Numbers from 0 to 1 that follow from a whole number alone (mulberry32, public domain).
function uniform(seed) {
  return () => {
    let t = seed += 0x6D2B79F5;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

// Normal distributions by their shares, means and triangular factors, one of each or one for all.
class Sampler {
  constructor({shares, means, factors, sphere}) {
    Object.assign(this, {shares: floats(shares), means: floats(means), factors: floats(factors), sphere});
    this.width = this.means.length / this.shares.length;
  }

  // The code of a seed.
  draw(seed) {
    const random = uniform(seed), n = this.width;
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let place = 0, left = random();
    while (place < this.shares.length - 1 && (left -= this.shares[place]) > 0) place++;
    const noise = Array.from({length: n}, normal), first = this.factors.length > n * n ? place * n * n : 0;
    const code = Float64Array.from(this.means.subarray(place * n, (place + 1) * n));
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) code[i] += this.factors[first + i * n + j] * noise[j];
    return this.sphere ? KINDS.sphere(null, code) : code;
  }
}
