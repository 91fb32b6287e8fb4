// The stages that a job passes, and what they are called for people.

export const STAGES = [
  ['sfm', 'Camera poses', 'where each photo was taken, and the first points of the place'],
  ['3dgs', 'Training', 'soft coloured points that grow until they look like the photos'],
  ['compression', 'Packing', 'cleaned, packed for the web, and measured'],
];

export const ACTIVE = new Set(['QUEUED', 'WAITING_CAPACITY', 'RUNNING']);

const ENDS = { COMPLETED: 'Ready', FAILED: 'Failed', STOPPED: 'Stopped', REJECTED: 'Refused', STOPPING: 'Stopping' };

// How a job stands, in a word or two.
export const stateOf = (status) => {
  if (ENDS[status.status]) return ENDS[status.status];
  if (status.status === 'QUEUED') return status.queuePosition ? `In the queue, place ${status.queuePosition}` : 'In the queue';
  if (status.status === 'WAITING_CAPACITY') return 'Waiting for a machine';
  return STAGES.find(([name]) => name === status.stage)?.[1] ?? 'Beginning';
};

export const costOf = (status) => {
  const costs = Object.values(status.stages).map(({ cost }) => cost).filter((cost) => cost !== null && cost !== undefined);
  return costs.length ? costs.reduce((sum, cost) => sum + cost, 0) : null;
};
