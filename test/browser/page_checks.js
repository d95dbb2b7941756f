// A function that finds the problems that only a browser can find. It returns a list of [check,
// finding]. mail_checks.py describes the checks.
() => {
  const problems = new Map();
  const report = (check, what) => problems.set(check + what, [check, what]);
  const sample = text => JSON.stringify(text.trim().replace(/\s+/g, ' ').slice(0, 40));
  const root = document.documentElement;

  // ---- The page as a whole ----

  if (root.scrollWidth > innerWidth) report('overflow', `the page is ${root.scrollWidth} px wide`);
  if (!document.title.trim()) report('title', 'there is no title');
  if (!root.lang) report('lang', 'there is no language');

  for (const table of document.querySelectorAll('table:not(:has(th, caption))'))
    if (table.getAttribute('role') !== 'presentation') report('layout-table', sample(table.textContent));

  for (const image of document.querySelectorAll('img, area, input[type=image]'))
    if (!image.hasAttribute('alt')) report('alt', image.outerHTML.slice(0, 80));
  for (const image of document.querySelectorAll('svg, [role=img]'))
    if (!image.ariaLabel && !image.querySelector('title') && !image.alt) report('alt', image.outerHTML.slice(0, 80));

  for (const link of document.links) {
    const {width, height} = link.getBoundingClientRect();
    if (width < 44 || height < 44) report('tap-target', `${sample(link.textContent)} is ${width} by ${height} px`);
  }

  // ---- Colours ----

  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  // Returns red, green and blue (0 to 255) and alpha (0 to 1) of a colour in any notation.
  const channels = color => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches && getComputedStyle(root).colorScheme.includes('dark');
  const canvasColor = isDark ? [18, 18, 18] : [255, 255, 255];

  // Returns the background of a text and the colour of the text, after all transparent layers are
  // combined.
  const colorsOf = element => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(getComputedStyle(e));
    let behind = canvasColor;
    let opacity = 1;
    for (const style of chain) {
      opacity *= Number(style.opacity);
      if (style.backgroundImage !== 'none') report('contrast', 'there is an image or gradient behind text');
      const [r, g, b, a] = channels(style.backgroundColor);
      behind = over([r, g, b, a * opacity], behind);
    }
    const [r, g, b, a] = channels(chain.at(-1).color);
    return [over([r, g, b, a * opacity], behind), behind];
  };
  // WCAG 2.1, "relative luminance" and "contrast ratio".
  const luminance = color => {
    const [r, g, b] = color.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = colors => {
    const [light, dark] = colors.map(luminance).sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  // ---- Every visible text ----

  const checkColors = (text, element, style) => {
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(colorsOf(element));
    if (ratio < (isLarge ? 3 : 4.5)) report('contrast', `${sample(text)} has ${ratio.toFixed(2)}`);
  };

  // Text must stay inside its own box, so that it does not overlap its neighbours, and inside every
  // box that would cut it off. Only words are measured. A space may stand outside at the end of a
  // preformatted line, where it is invisible.
  const wordBoxes = node => [...node.textContent.matchAll(/\S+/g)].flatMap(word => {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    return [...range.getClientRects()];
  });
  const checkPlace = (text, element, node) => {
    const boxes = wordBoxes(node);
    const box = {
      left: Math.min(...boxes.map(b => b.left)),
      right: Math.max(...boxes.map(b => b.right)),
      bottom: Math.max(...boxes.map(b => b.bottom)),
    };
    let isOwn = true;
    for (let e = element; e && e !== root; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.display === 'inline' || style.display === 'contents') continue;
      const outer = e.getBoundingClientRect();
      const leaves = box.right > outer.right + 1 || box.left < outer.left - 1;
      const isCut = style.overflow !== 'visible' && (leaves || box.bottom > outer.bottom + 1);
      if (isCut || (isOwn && leaves)) report('cut-off', `${sample(text)} leaves its ${e.localName}`);
      isOwn = false;
    }
  };

  // Text from right to left must not reorder the text around it, which is written from left to
  // right.
  const checkDirection = (text, element) => {
    if (!/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(text)) return;
    if (element.dir !== 'auto' && element.localName !== 'bdi') report('direction', `${sample(text)} is not isolated`);
  };

  // A number must not be broken into two lines. A count never has more than nine digits.
  const checkNumber = (text, node) => {
    if (!/^\d{1,9}$/.test(text.trim())) return;
    if (new Set(wordBoxes(node).map(b => b.top)).size > 1) report('broken-number', `${sample(text)} is in several lines`);
  };

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent;
    const element = walker.currentNode.parentElement;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect();
    if (!text.trim() || !box.width || !box.height) continue;

    const style = getComputedStyle(element);
    if (parseFloat(style.fontSize) < 13) report('small-text', `${sample(text)} has ${style.fontSize}`);
    checkColors(text, element, style);
    checkPlace(text, element, walker.currentNode);
    checkDirection(text, element);
    checkNumber(text, walker.currentNode);
  }
  return [...problems.values()];
}
