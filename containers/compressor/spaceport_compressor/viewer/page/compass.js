// A needle to the north: along the ground as the picture shows it, whether the camera looks down or ahead.

const NEEDLE = `
  <svg viewBox="-24 -24 48 48" aria-hidden="true">
    <circle r="22" class="rim"/>
    <g><path d="M0-13 5 0H-5z" class="north"/><path d="M0 13 5 0H-5z" class="south"/></g>
  </svg><b>N</b>`;
const WINDS = ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'];

// Radians clockwise: from the picture's top to the north, and from the north to where the picture's top is.
export const bearings = (forward, up, right) => {
  // Looking straight down `forward` says nothing of it, and straight ahead `up` does not: together they always do.
  const top = Math.atan2(forward.x + up.x, -(forward.z + up.z));
  return { north: Math.atan2(-right.z, Math.cos(top)), top };
};

export const addCompass = (tools, camera, onMove) => {
  const compass = document.createElement('div');
  compass.id = 'compass';
  compass.setAttribute('role', 'img');
  compass.innerHTML = NEEDLE;
  tools.append(compass);
  const needle = compass.querySelector('g');
  const letter = compass.querySelector('b');
  onMove(() => {
    const { north, top } = bearings(camera.forward, camera.up, camera.right);
    needle.setAttribute('transform', `rotate(${(north * 180) / Math.PI})`);
    letter.style.transform = `translate(${Math.sin(north) * 1.02}rem, ${-Math.cos(north) * 1.02}rem)`;
    const wind = WINDS[(Math.round((top / Math.PI) * 4) + 8) % 8];
    compass.setAttribute('aria-label', `The picture’s top is ${wind}`);
  });
};
