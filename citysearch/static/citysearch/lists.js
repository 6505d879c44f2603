// The field of a list's search has a picture for a label: its help says what to type.

const help = document.getElementById("searchbar_helptext");
if (help) document.getElementById("searchbar").setAttribute("aria-label", help.textContent);
