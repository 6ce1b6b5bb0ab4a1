// Making elements: data always becomes text, never markup.

/** An element with attributes (true: present, false or null: absent) and children, which are elements or text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Set an element's text if it is another one: a text that stays costs nothing and is not read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
