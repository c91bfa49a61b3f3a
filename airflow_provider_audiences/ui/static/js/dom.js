/** Builds the page. Whatever comes from the API becomes a text node or an attribute, and is never read as HTML. */

/**
 * Return a new element.
 *
 * @param {string} name its tag, with classes after dots: "td.number".
 * @param {Object<string, any>} attributes its attributes. A function is a listener ("onclick"); null, undefined and false
 *   leave an attribute out.
 * @param {...any} children elements and texts, in lists too; null, undefined and false are left out.
 */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/**
 * Add children to an element.
 *
 * @param {Element} element the element.
 * @param {any} children as those of el().
 */
export function add(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replace the content of an element by children, which are as those of el(). */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/** Say something to those who listen to the page. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer.textContent !== text) announcer.textContent = text;
}

/** Return a small picture of one path, which only decorates. */
export function icon(path, name = "icon") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", "aria-hidden": "true", class: name })) {
    svg.setAttribute(key, value);
  }
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
